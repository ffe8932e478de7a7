import { bucketCount } from '../message/key.ts'
import type { Clock } from '../running/clock.ts'
import type { StoreSession } from '../store/store.ts'
import type { Pipeline } from './pipeline.ts'

/** What a drain left behind, and why. */
export interface DrainReport {
  /** Messages that Kafka acknowledged. */
  published: number
  /** True when nothing was left. */
  empty: boolean
  /** Rows, up to 1,000, that are still in the outbox. */
  left: number
  /** Buckets that belong to other relays. */
  foreignBuckets: number
  /** Topics that cannot take messages, with the reason. */
  pausedTopics: { topic: string; code: string }[]
  /** Keys that wait behind a dead message. */
  blockedKeys: number
}

/** What is known of the tables at the end of a drain. */
type Rest = Omit<DrainReport, 'published'>

/** What a drain looks at. */
export interface Drain {
  clock: Clock
  pipeline: Pick<Pipeline, 'context' | 'topics' | 'leases'>
  signal: AbortSignal
  /** Asks the database, again in the next session if this one breaks. */
  ask: <T>(question: (session: StoreSession) => Promise<T>) => Promise<T>
}

/** Milliseconds between two looks. */
const lookMs = 50

/** Heartbeats after which the relay has had the chance to claim its buckets. */
const settledTicks = 3

/** Waits until everything that is in the outbox now has been published, or until waiting longer will not help. */
export async function drain(deps: Drain): Promise<Rest> {
  const { context, leases, topics } = deps.pipeline
  const { inFlight, positions } = context.state
  const upTo = await deps.ask((session) => session.lastId())
  for (;;) {
    await deps.clock.wait(lookMs, deps.signal)
    const quiet = inFlight.size === topics.resting && positions.sawNothing && leases.ticks >= settledTicks
    if (!quiet && !deps.signal.aborted) continue
    const report = await look(deps, upTo)
    if (report.empty || isFinal(deps, report) || deps.signal.aborted) return report
  }
}

async function look({ ask, pipeline: { topics, context }, signal }: Drain, upTo: number): Promise<Rest> {
  // Broken off: nobody can say what is left, so not nothing.
  const left = signal.aborted ? 1 : await ask((session) => session.remaining(upTo))
  const { claims } = context.state
  const pausedTopics = topics.closed().flatMap(({ name, trouble }) => (trouble ? [{ topic: name, code: trouble.code }] : []))
  const blockedKeys = claims.all.reduce((sum, claim) => sum + claim.blockedKeys, 0)
  return { empty: left === 0 && blockedKeys === 0, left, foreignBuckets: bucketCount - claims.size, pausedTopics, blockedKeys }
}

/** Nothing is on its way, and what is left is held, paused or another relay's. */
function isFinal({ pipeline: { topics } }: Drain, report: Rest): boolean {
  const opening = topics.missing.waiting || topics.closed().some((topic) => !topic.trouble)
  return !opening && (report.left === 0 || report.foreignBuckets > 0 || report.pausedTopics.length > 0)
}
