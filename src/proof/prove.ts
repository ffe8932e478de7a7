import type { Kafka } from 'kafkajs'
import { type Judgement, judge } from './checks.ts'
import { randomFrom, usualShares, type WriterPlan } from './draw.ts'
import { dumpTopics } from './dump.ts'
import type { History, InjectedFault, Rest } from './history.ts'
import { monotonicMs } from './history.ts'
import { makeScratch, type Scratch } from './scratch.ts'
import { SqlWay } from './sql-way.ts'
import { addLines, readLedger, startWriters, type Writers } from './writers.ts'

/** A relay process of a proof. */
export interface ProvedRelay {
  /** Ends it by SIGKILL, and resolves when it is gone. */
  kill(): Promise<void>
  /** Ends it by SIGTERM, and resolves when it is gone; one that does not obey is killed. */
  stop(): Promise<void>
}

/** What a proof is told. Times are milliseconds. */
export interface ProofPlan {
  databaseUrl: string
  kafka: Kafka
  /** Hexadecimal text that makes the names of schema and topic its own. */
  name: string
  /** Prefix of the scratch tables. */
  tablePrefix: string
  migration: (schema: string) => string
  partitions: number
  /** -1: the cluster's default. */
  replication: number
  seed: number
  /** How long transactions are written, with the kills among them. */
  forMs: number
  kills: number
  /** How long the outbox may take to empty afterwards. */
  emptyMs: number
  /** Rows in flight of a relay: so many copies each kill may leave. */
  maxInFlight: number
  /** The relays run in the exactly-once mode: a kill leaves no copy. */
  exactlyOnce: boolean
  startRelay: (schema: string, name: string) => ProvedRelay
  /** Breaks the proof off; what was made is removed. */
  signal: AbortSignal
  say: (line: string) => void
}

/** What a proof came to. */
export interface Proof {
  history: History
  judgement: Judgement
  /** What could not be removed. */
  leftBehind: string[]
}

/** Milliseconds that a kill waits at most for a batch of its relay: on a busy machine a program starts slowly. */
const recordedMs = 20_000

/** Milliseconds within which a batch is sent and answered: a kill before, between and after each tells something. */
const answeredMs = 100

/** Milliseconds within which a session that does nothing tells the server what it did. */
const countedMs = 12_000

/** Relays that share the work, so that each kill is also a take-over. */
const relayCount = 2

/**
 * Writes transactions into scratch tables while two relays publish them to a scratch topic and are killed, reads the topic back, and
 * judges it by the checks of the torture. Touches nothing else, and removes what it made.
 *
 * @throws OutboxError as {@link makeScratch}; the signal's reason when it was broken off.
 */
export async function prove(plan: ProofPlan): Promise<Proof> {
  const [schema, topic] = [`outbox_prove_${plan.name}`, `outbox-prove-${plan.name}`]
  plan.say(`Scratch schema ${schema}, scratch topic ${topic}; both are removed at the end. Seed ${plan.seed}.`)
  const scratch = await makeScratch({ ...plan, schema, topic, migration: plan.migration(schema) })
  let history: History | undefined
  let leftBehind: string[] = []
  try {
    history = await collect(plan, scratch, schema, topic)
  } finally {
    leftBehind = await scratch.remove()
    for (const what of leftBehind) plan.say(`Could not be removed: ${what}.`)
  }
  return { history, judgement: judge(history), leftBehind }
}

async function collect(plan: ProofPlan, scratch: Scratch, schema: string, topic: string): Promise<History> {
  const { query, sql } = scratch
  const random = randomFrom(plan.seed)
  const writing = writerPlan(topic)
  await addLines(query, writing, sql)
  const relays = Array.from({ length: relayCount }, (_, i) => plan.startRelay(schema, relayName(i)))
  const ways = Array.from({ length: writing.writers }, () => new SqlWay(plan.databaseUrl, sql))
  try {
    const seconds = Math.round(plan.forMs / 1_000)
    plan.say(`Writing transactions for ${seconds} s, while ${relayCount} relays publish them and are killed in turn.`)
    const writers = startWriters(writing, ways, sql, random)
    const faults = await killAmong(plan, scratch, relays, schema, random).finally(() => writers.stop())
    plan.say(`${writers.attempts.length} transactions written. Waiting until everything is published.`)
    const rest = await settle(plan, scratch)
    await Promise.all(relays.map((relay) => relay.stop()))
    const recordedBatches = plan.exactlyOnce ? await countRecorded(plan, scratch) : undefined
    plan.say('Reading the topic, to compare it with what was committed.')
    const history = await read(plan, topic, writers, faults, rest, () => readLedger(query, sql))
    return recordedBatches === undefined ? history : { ...history, recordedBatches }
  } finally {
    await Promise.allSettled([...ways.map((way) => way.close()), ...relays.map((relay) => relay.kill())])
  }
}

const relayName = (which: number): string => `prove-${which + 1}`

const writerPlan = (topic: string): WriterPlan => ({
  topics: [topic],
  keys: 50,
  looseKeys: 4,
  writers: 12,
  pauseMs: [0, 20],
  lateMs: [200, 3_000],
  shares: usualShares,
  largestBytes: 10_000,
})

/** Kills one relay after the other, each once in its part of the time, and starts it again at once. */
async function killAmong(
  plan: ProofPlan,
  scratch: Scratch,
  relays: ProvedRelay[],
  schema: string,
  random: () => number,
): Promise<InjectedFault[]> {
  const faults: InjectedFault[] = []
  const part = plan.forMs / plan.kills
  const began = monotonicMs()
  for (let kill = 0; kill < plan.kills; kill++) {
    await pause(began + (kill + random()) * part - monotonicMs(), plan.signal)
    const which = kill % relays.length
    if (plan.exactlyOnce) {
      await untilRecorded(plan, scratch, relayName(which))
      await pause(random() * answeredMs, plan.signal)
    }
    const from = monotonicMs()
    await relays[which]!.kill()
    relays[which] = plan.startRelay(schema, relayName(which))
    faults.push({ kind: 'relay-sigkill', from, healedAt: monotonicMs() })
    plan.say(`Relay ${which + 1} killed and started again (${kill + 1} of ${plan.kills}).`)
  }
  await pause(began + plan.forMs - monotonicMs(), plan.signal)
  return faults
}

/** Waits for the moment at which a kill tells the most: a batch of the relay is recorded, and its outcome is open. */
async function untilRecorded({ signal }: ProofPlan, { query, sql }: Scratch, name: string): Promise<void> {
  const since = monotonicMs()
  while (monotonicMs() - since < recordedMs && (await query<{ n: number }>(sql.recordedBy, [name]))[0]!.n === 0)
    await pause(1, signal)
}

/** Waits until the outbox is empty, and looks at the tables. */
async function settle({ emptyMs, signal }: ProofPlan, { query, sql }: Scratch): Promise<Rest> {
  const since = monotonicMs()
  const waiting = async () => (await query<{ n: number }>(sql.waiting))[0]!.n
  let left = await waiting()
  while (left > 0 && monotonicMs() - since < emptyMs) {
    await pause(100, signal)
    left = await waiting()
  }
  const dead = await query<{ id: string; reason: string | null }>(sql.dead)
  const emptiedMs = left === 0 ? monotonicMs() - since : null
  return { emptiedMs, limitMs: emptyMs, left, dead, expectedDead: [], unexpectedEnds: [] }
}

/** The server learns of them within seconds, through a pooler too. */
async function countRecorded({ signal }: ProofPlan, { query, sql }: Scratch): Promise<number> {
  const since = monotonicMs()
  for (;;) {
    const { n } = (await query<{ n: number }>(sql.recorded))[0]!
    if (n > 0 || monotonicMs() - since > countedMs) return n
    await pause(200, signal)
  }
}

async function read(
  { kafka, kills, maxInFlight, exactlyOnce, partitions }: ProofPlan,
  topic: string,
  { attempts }: Writers,
  faults: InjectedFault[],
  rest: Rest,
  ledger: () => Promise<History['ledger']>,
): Promise<History> {
  const dumps = [await dumpTopics(kafka, [topic], 'read_uncommitted'), await dumpTopics(kafka, [topic], 'read_committed')]
  const topics = [{ name: topic, partitions: [partitions], deleted: false }]
  const mostDuplicates = kills * maxInFlight
  return { exactlyOnce, topics, attempts, ledger: await ledger(), dumps, faults, mostDuplicates, rest }
}

/** Waits; rejects with the reason of the signal when it aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const abort = () => {
      clearTimeout(timer)
      reject(signal.reason)
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort)
      resolve()
    }, ms)
    signal.addEventListener('abort', abort, { once: true })
  })
}
