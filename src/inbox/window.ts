import type { AnyEvent } from '../events/catalog.ts'
import { within } from '../running/within.ts'
import type { Applier, Outlook, Pending } from './apply.ts'
import { type Decoded, decode } from './decode.ts'
import { handlerTimeout } from './failure.ts'
import type { ResolvedInbox } from './options.ts'
import type { PartitionMemory } from './partition.ts'
import type { NewRecord } from './record.ts'

/** Records that are looked up at once, at least: more would be looked up in vain by a slow handler, whose turn ends before it gets there. */
const lookRecords = 64

/** The next records of a batch that belong together: for one transaction, one that cannot be read, or one whose codec failed. */
export type Chunk =
  | { do: 'apply'; end: number; pending: Pending[]; copies: number }
  | { do: 'dead-letter'; end: number; record: NewRecord; why: { reason: string; error: string } }
  | { do: 'fail'; end: number; record: NewRecord; cause: unknown }

/** What a window looks at. */
export interface WindowPorts {
  /** How many records the batch has. */
  length: number
  recordAt: (index: number) => NewRecord
  memory: PartitionMemory
  options: ResolvedInbox
  applier: Applier
  wanted: (record: NewRecord) => AnyEvent | undefined
}

/** A batch of a partition, with what the inbox knows of its messages: asked for many at once, so that one by one costs no statement more. */
export class Window {
  readonly #ports: WindowPorts
  /** By offset. */
  #outlooks = new Map<string, Outlook>()
  /** Identities that were taken care of since they were queried, or are being committed: a second copy in the same window is known without another question. */
  readonly #done = new Set<string>()

  constructor(ports: WindowPorts) {
    this.#ports = ports
  }

  /** Forgets what is known: it is no longer so, or a commit that was counted on has failed. */
  forget(): void {
    this.#outlooks = new Map()
    this.#done.clear()
  }

  /** A chunk is being committed. Where that fails, `forget`. */
  took(chunk: Chunk): void {
    if (chunk.do === 'apply') for (const { record } of chunk.pending) this.#done.add(record.identity)
  }

  /** The next chunk; rejects where the database does not answer. */
  async next(from: number): Promise<Chunk> {
    const { length, recordAt, memory, options, wanted } = this.#ports
    const pending: Pending[] = []
    let copies = 0
    let i = from
    for (; i < length && pending.length < (options.batch ?? 1); i++) {
      const record = recordAt(i)
      const event = wanted(record)
      if (!event) continue
      const { known, blocked } = await this.#outlook(record, i)
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
        if (!memory.singly(identity)) continue
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

  async #outlook(record: NewRecord, at: number): Promise<Outlook> {
    const found = this.#outlooks.get(record.offset)
    if (found) return found
    const { length, recordAt, applier, options, wanted } = this.#ports
    const ahead: NewRecord[] = []
    for (let i = at; i < length && ahead.length < Math.max(lookRecords, options.batch ?? 1); i++) {
      const one = recordAt(i)
      if (wanted(one)) ahead.push(one)
    }
    const outlooks = await applier.look(ahead)
    for (const [i, one] of ahead.entries()) this.#outlooks.set(one.offset, outlooks[i]!)
    return outlooks[0]!
  }

  async #decode(record: NewRecord, event: AnyEvent): Promise<Decoded | { cause: unknown }> {
    try {
      const { events, handlerTimeoutMs } = this.#ports.options
      // A codec may ask a registry that never answers: heartbeats would go on for ever.
      return await within(decode(record, event, events), handlerTimeoutMs, handlerTimeout)
    } catch (cause) {
      return { cause }
    }
  }
}
