import { setMaxListeners } from 'node:events'
import type { Message } from '../message/message.ts'
import { type DrawnTransaction, drawTransaction, keyBytes, meant, serializedKeys, type WriterPlan } from './draw.ts'
import type { Attempt, LedgerRow, WrittenMessage } from './history.ts'
import { monotonicMs } from './history.ts'
import type { ProofStatements } from './statements.ts'

/** What a writer does in its transaction. */
export interface WriterTransaction {
  /** Runs a statement and gives its rows. */
  query<R>(sql: string, values: readonly unknown[]): Promise<R[]>
  enqueue(message: Message): Promise<unknown>
}

/** A way to run a transaction: through the extension, or through SQL alone. */
export interface Way {
  readonly name: string
  /**
   * Runs `work` in a transaction, rolls it back where `work` rejects, and tells how it ended. Never rejects; after a lost connection the
   * next call has a new one.
   */
  run(work: (tx: WriterTransaction) => Promise<void>): Promise<Attempt['outcome']>
  close(): Promise<void>
}

/** Writers at work. */
export interface Writers {
  /** Every transaction that has ended. */
  readonly attempts: readonly Attempt[]
  /** Ends the writers; resolves when the transactions under way have ended. */
  stop(): Promise<void>
}

class RolledBackOnPurpose extends Error {}

/** Milliseconds to wait after a transaction that failed on its own: a database that is away is not asked without pause. */
const afterFailureMs = 200

/**
 * Writers for a history: each transaction draws a place in the line of its key under a row lock, writes the ledger and enqueues the
 * message, all or nothing. One writer for each of the ways.
 */
export function startWriters(
  plan: WriterPlan,
  ways: readonly Way[],
  sql: ProofStatements,
  random: () => number,
  onEnded: (attempt: Attempt) => void = () => {},
): Writers {
  const attempts: Attempt[] = []
  const ending = new AbortController()
  // Every writer waits on it: many listeners are no leak here.
  setMaxListeners(0, ending.signal)
  let number = 0
  const writer = async (way: Way): Promise<void> => {
    while (!ending.signal.aborted) {
      const attempt = await attemptOne(way, number++, drawTransaction(plan, random), sql, ending.signal)
      attempts.push(attempt.ended)
      onEnded(attempt.ended)
      const [least, most] = plan.pauseMs
      await sleep(attempt.byItself ? afterFailureMs : least + random() * (most - least), ending.signal)
    }
  }
  const all = Promise.all(ways.map(writer))
  return {
    attempts,
    async stop() {
      ending.abort()
      await all
    },
  }
}

async function attemptOne(
  way: Way,
  number: number,
  drawn: DrawnTransaction,
  sql: ProofStatements,
  signal: AbortSignal,
): Promise<{ ended: Attempt; byItself: boolean }> {
  const messages: WrittenMessage[] = []
  const invokedAt = monotonicMs()
  let complete = false
  const outcome = await way.run(async (tx) => {
    for (const one of drawn.messages) {
      const { id, topic, key } = one.message
      const bytes = keyBytes(key)
      const hex = bytes === null ? null : Buffer.from(bytes).toString('hex')
      const n = one.serialized ? (await tx.query<{ n: number }>(sql.nextPlace, [topic, hex]))[0]!.n : null
      const written = meant(one, n, monotonicMs())
      messages.push(written)
      await tx.query(sql.record, [id, topic, hex, n, written.value])
      // As late as can be: what was committed before this moment must stand before it.
      written.enqueuedAt = monotonicMs()
      await tx.enqueue(one.message)
    }
    await sleep(drawn.waitMs, signal)
    complete = true
    if (drawn.rollback) throw new RolledBackOnPurpose()
  })
  const ended: Attempt = { number, way: way.name, invokedAt, endedAt: monotonicMs(), outcome, messages }
  return { ended, byItself: outcome !== 'ok' && !(complete && drawn.rollback) }
}

/** Makes the tables' rows that the writers need; once, before they start. */
export async function addLines(query: WriterTransaction['query'], plan: WriterPlan, sql: ProofStatements): Promise<void> {
  const keys = serializedKeys(plan.keys).map((key) => Buffer.from(keyBytes(key)!).toString('hex'))
  for (const topic of new Set(plan.topics)) await query(sql.addLines, [topic, keys])
}

/** The ledger as the database has it. */
export async function readLedger(query: WriterTransaction['query'], sql: ProofStatements): Promise<LedgerRow[]> {
  const rows = await query<LedgerRow>(sql.ledger, [])
  return rows.map((row) => ({ ...row, key: row.key === null ? null : Buffer.from(row.key, 'hex').toString('latin1') }))
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  if (ms <= 0 || signal.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
