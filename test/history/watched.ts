import { bucketOf } from '../../src/message/key.ts'
import type { LeaseName, TracedBatch } from '../../src/proof/history.ts'
import { monotonicMs } from '../../src/proof/history.ts'
import { nameOf } from '../../src/relay/settle/settlement.ts'
import { type Clock, systemClock } from '../../src/running/clock.ts'
import type {
  BatchName,
  BatchWork,
  Fetch,
  Fetched,
  Lease,
  NamedBatch,
  RowName,
  Store,
  StoreSession,
} from '../../src/store/store.ts'
import type { Outcome, SearchLog, Transport, TransportBatch } from '../../src/transport/transport.ts'
import type { TraceFile } from './trace-file.ts'

/** Called before and after each call of a port, with `before fetch` or `after publish`. */
export type Failpoint = (name: string) => void

/** What is traced of the calls of a port: `before` gives a value that `after` gets together with the answer. */
type Watches<T> = {
  [K in keyof T]?: T[K] extends (...args: infer A) => Promise<infer R>
    ? { before?: (...args: A) => unknown; after?: (answer: R, before: unknown, ...args: A) => void }
    : never
}

interface Watch {
  before?: (...args: unknown[]) => unknown
  after?: (answer: unknown, before: unknown, ...args: unknown[]) => void
}

/** The port with a failpoint before and after each call, and the watches of some of them. Everything else passes through. */
function watched<T extends object>(port: T, failpoint: Failpoint, watches: Watches<T>): T {
  return new Proxy(port, {
    get(target, name) {
      const value = Reflect.get(target, name, target)
      if (typeof value !== 'function' || typeof name !== 'string') return value
      const watch = watches[name as keyof T] as Watch | undefined
      return async (...args: unknown[]) => {
        failpoint(`before ${name}`)
        const before = watch?.before?.(...args)
        const answer = await value.apply(target, args)
        watch?.after?.(answer, before, ...args)
        failpoint(`after ${name}`)
        return answer
      }
    },
  })
}

const namesOf = (leases: readonly Lease[]): LeaseName[] => leases.map(({ bucket, epoch }) => [bucket, epoch])
const idsOf = (rows: readonly RowName[]): string[] => rows.map(({ messageId }) => messageId)
const keysOf = (batches: readonly BatchName[]): string[] => batches.map(nameOf)
const traced = (batches: readonly NamedBatch[]): TracedBatch[] =>
  batches.map((batch) => ({
    batch: nameOf(batch),
    ids: idsOf(batch.rows),
    buckets: [...new Set(batch.rows.map(({ bucket }) => bucket))],
  }))

/**
 * A judge beside the relay: keeps its own account of the leases, by what the store has answered, and holds every publish against it. It
 * asks nothing of the relay's own memory, so a relay that forgets its deadline is found out.
 */
export class Watcher {
  readonly #trace: TraceFile
  readonly #failpoint: Failpoint
  readonly #leaseMs: number
  readonly #leases = new Map<number, { epoch: number; until: number }>()
  /** The last two times that the relay was told: the one that it decided by, and the stamp of the send. */
  #looks: [number, number] = [0, 0]
  #batches = 0
  #statements = 0
  /** The highest id after which a bucket was asked for, under its present lease. */
  readonly #asked = new Map<number, number>()

  constructor(trace: TraceFile, failpoint: Failpoint, leaseMs: number) {
    this.#trace = trace
    this.#failpoint = failpoint
    this.#leaseMs = leaseMs
  }

  /** The relay's clock. A process that is stopped between a look and the send has looked in time all the same. */
  readonly clock: Clock = {
    now: () => {
      const now = monotonicMs()
      this.#looks = [this.#looks[1], now]
      return now
    },
    date: systemClock.date,
    wait: systemClock.wait,
  }

  store(store: Store): Store {
    return {
      connect: async (me) => watched(await store.connect(me), this.#failpoint, this.#sessionWatches()),
      listen: (onNotify, onLost, signal) => store.listen(onNotify, onLost, signal),
    }
  }

  transport(transport: Transport): Transport {
    return watched(transport, this.#failpoint, {
      publish: {
        before: (batch, timeoutMs) => this.#publishes(batch, timeoutMs),
        after: (outcome, batch) => this.#published(outcome, batch as number),
      },
    })
  }

  /** The search of the log, with failpoints and a line for each answer. */
  search(search: SearchLog): SearchLog {
    return async (what) => {
      this.#failpoint('before search')
      const after = monotonicMs()
      const found = await search(what).catch((error: unknown) => error as Error)
      const answer = { found: found instanceof Error ? null : found, after }
      this.#trace.add({ what: 'searched', ids: what.messageIds, ...answer })
      this.#failpoint('after search')
      if (found instanceof Error) throw found
      return found
    }
  }

  #sessionWatches(): Watches<StoreSession> {
    const trace = this.#trace
    const claims = (how: 'take' | 'retake' | 'renew') => ({
      before: () => monotonicMs(),
      after: (leases: Lease[], sentAt: unknown) => this.#owns(how, leases, sentAt as number),
    })
    const moves = (
      what: 'deadLetters' | 'moves-behind',
      { bucket, epoch }: Lease,
      rows: readonly RowName[],
      reason: string | null,
    ) => trace.addNow({ what, ids: idsOf(rows), lease: [bucket, epoch], reason })
    return {
      take: claims('take'),
      retake: claims('retake'),
      renew: claims('renew'),
      release: { before: (leases) => this.#releases(leases) },
      fetch: { after: (answer, _before, what) => this.#fetched(answer, what) },
      settle: {
        before: (rows) => trace.addNow({ what: 'settles', ids: idsOf(rows) }),
        after: (_answer, _before, rows) => trace.add({ what: 'settled', ids: idsOf(rows) }),
      },
      record: {
        before: (work) => this.#records(work),
        after: (answer, statement, { rows }) => this.#recorded(answer, statement as number, rows),
      },
      batchesOf: {
        before: () => monotonicMs(),
        after: (batches, sentAt, buckets) =>
          trace.add({ what: 'adopts', buckets, batches: traced(batches.filter(({ whole }) => whole)), after: sentAt as number }),
      },
      deadLetter: { before: (lease, row, { reason }) => moves('deadLetters', lease, [row], reason) },
      moveBlocked: { before: (lease, rows) => moves('moves-behind', lease, rows, null) },
    }
  }

  #records({ rows, begun, landed, acknowledged, withdrawn, leases }: BatchWork): number {
    const statement = ++this.#statements
    this.#trace.add({ what: 'settles', ids: idsOf(rows) })
    this.#trace.addNow({
      what: 'records',
      statement,
      begun: traced(begun),
      landed: keysOf(landed),
      acknowledged: keysOf(acknowledged),
      withdrawn: keysOf(withdrawn),
      leases: namesOf(leases),
    })
    return statement
  }

  #recorded(answer: Awaited<ReturnType<StoreSession['record']>>, statement: number, rows: readonly RowName[]): void {
    const done = answer === 'locked' ? { held: null, withdrawn: 0 } : { held: [...answer.held], withdrawn: answer.withdrawn }
    this.#trace.add({ what: 'recorded', statement, ...done })
    if (done.held) this.#trace.add({ what: 'settled', ids: idsOf(rows) })
  }

  #fetched({ rows }: Fetched, { scans }: Fetch): void {
    this.#trace.add({ what: 'fetched', ids: idsOf(rows) })
    const below = rows.filter(({ bucket, id }) => id <= (this.#asked.get(bucket) ?? 0))
    if (below.length > 0) {
      const found = below.map(({ bucket, id, messageId }) => ({ bucket, id, messageId }))
      this.#trace.add({ what: 'finds-below', rows: found })
    }
    for (const { bucket, after } of scans) this.#asked.set(bucket, Math.max(after, this.#asked.get(bucket) ?? 0))
  }

  #owns(how: 'take' | 'retake' | 'renew', leases: readonly Lease[], sentAt: number): void {
    const until = sentAt + this.#leaseMs
    // What a new session does not get back is lost.
    if (how === 'retake') this.#leases.clear()
    for (const { bucket, epoch } of leases) {
      if (this.#leases.get(bucket)?.epoch !== epoch) this.#asked.delete(bucket)
      this.#leases.set(bucket, { epoch, until })
    }
    if (leases.length > 0) this.#trace.add({ what: 'owns', how, leases: namesOf(leases), until })
  }

  #releases(leases: readonly Lease[]): void {
    for (const { bucket } of leases) this.#leases.delete(bucket)
    this.#trace.addNow({ what: 'releases', leases: namesOf(leases) })
  }

  #publishes({ topic, partition, records, numbers }: TransportBatch, timeoutMs: number): number {
    const [decidedAt, sentAt] = this.#looks
    const leases = new Map<number, number>()
    let spareMs = Number.POSITIVE_INFINITY
    for (const { key } of records) {
      const bucket = bucketOf(topic, key)
      const lease = this.#leases.get(bucket)
      if (lease) leases.set(bucket, lease.epoch)
      spareMs = Math.min(spareMs, lease ? lease.until - decidedAt - timeoutMs : Number.NEGATIVE_INFINITY)
    }
    const batch = ++this.#batches
    this.#trace.addNow({
      what: 'publishes',
      batch,
      topic,
      partition,
      ids: records.map(({ headers }) => headers.id!),
      leases: [...leases],
      ...(numbers ? { numbers: nameOf({ ...numbers, topic, partition }) } : {}),
      spareMs: Number.isFinite(spareMs) ? spareMs : null,
      until: sentAt + timeoutMs,
    })
    return batch
  }

  #published(outcome: Outcome, batch: number): void {
    const offset = outcome.kind === 'acked' ? Number(outcome.baseOffset) : null
    const code = outcome.kind === 'acked' ? null : outcome.code
    this.#trace.add({ what: 'published', batch, outcome: outcome.kind, offset, code })
  }
}
