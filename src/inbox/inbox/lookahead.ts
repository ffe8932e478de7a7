import type { AnyEvent } from '../../events/catalog.ts'
import { within } from '../../running/within.ts'
import { type Decoded, decode } from '../decode.ts'
import { handlerTimeout } from '../failure.ts'
import type { PartitionMemory } from '../partition.ts'
import type { NewRecord } from '../record.ts'
import type { Applier, Pending, Seen } from './applier.ts'
import type { ResolvedInbox } from './options.ts'

/** Least number of records of one query: a slow handler, whose turn ends before it gets there, would not use more. */
const lookaheadRecords = 64

/** The next records to take care of: those of one transaction, one that cannot be read, or one whose codec failed. `end`: index behind them. */
export type Batch =
  | { do: 'apply'; end: number; pending: Pending[]; copies: number }
  | { do: 'dead-letter'; end: number; record: NewRecord; why: { reason: string; error: string } }
  | { do: 'fail'; end: number; record: NewRecord; cause: unknown }

/** What a lookahead works with. */
export interface LookaheadPorts {
  /** Number of records of the fetch. */
  length: number
  recordAt: (index: number) => NewRecord
  memory: PartitionMemory
  options: ResolvedInbox
  applier: Applier
  wanted: (record: NewRecord) => AnyEvent | undefined
}

/**
 * The records of a fetch, cut into batches, with the inbox's knowledge of their messages. It is queried for many at once, so that single messages cost
 * no statement more. The reader makes one for each fetch.
 */
export class Lookahead {
  readonly #ports: LookaheadPorts
  /** By offset. */
  #seen = new Map<string, Seen>()
  /** Identities that were taken care of since they were queried: a second copy in the same fetch is known without another query. */
  readonly #done = new Set<string>()

  constructor(ports: LookaheadPorts) {
    this.#ports = ports
  }

  /** Forgets what is known: it is no longer so. */
  forget(): void {
    this.#seen = new Map()
    this.#done.clear()
  }

  /** A batch was committed. */
  took(batch: Batch): void {
    if (batch.do === 'apply') for (const { record } of batch.pending) this.#done.add(record.identity)
  }

  /** The next batch. Rejects if the database does not answer. */
  async next(from: number): Promise<Batch> {
    const { length, recordAt, memory, options, wanted } = this.#ports
    const pending: Pending[] = []
    let copies = 0
    let i = from
    for (; i < length && pending.length < (options.batch ?? 1); i++) {
      const record = recordAt(i)
      const event = wanted(record)
      if (!event) continue
      const { known, blocked } = await this.#seenOf(record, i)
      const { identity } = record
      if (known || this.#done.has(identity) || pending.some((one) => one.record.identity === identity)) {
        copies++
        continue
      }
      // A record without an id is dead-lettered for that reason, whether its key is dead-lettered or not.
      const behind = blocked && record.id !== null
      const decoded: Decoded | { cause: unknown } | undefined = behind ? undefined : await this.#decode(record, event)
      if (decoded === undefined || 'event' in decoded) {
        pending.push({ record, event: decoded?.event })
        if (!memory.alone(identity)) continue
        i++
        break
      }
      // Those before it first.
      if (pending.length > 0) break
      if ('cause' in decoded) return { do: 'fail', end: i + 1, record, cause: decoded.cause }
      return { do: 'dead-letter', end: i + 1, record, why: decoded }
    }
    return { do: 'apply', end: i, pending, copies }
  }

  async #seenOf(record: NewRecord, at: number): Promise<Seen> {
    const found = this.#seen.get(record.offset)
    if (found) return found
    const { length, recordAt, applier, options, wanted } = this.#ports
    const ahead: NewRecord[] = []
    for (let i = at; i < length && ahead.length < Math.max(lookaheadRecords, options.batch ?? 1); i++) {
      const one = recordAt(i)
      if (wanted(one)) ahead.push(one)
    }
    const seen = await applier.query(ahead)
    for (const [i, one] of ahead.entries()) this.#seen.set(one.offset, seen[i]!)
    return seen[0]!
  }

  async #decode(record: NewRecord, event: AnyEvent): Promise<Decoded | { cause: unknown }> {
    try {
      const { events, handlerTimeoutMs } = this.#ports.options
      // A codec may ask a registry that never answers: heartbeats would never end.
      return await within(decode(record, event, events), handlerTimeoutMs, handlerTimeout)
    } catch (cause) {
      return { cause }
    }
  }
}
