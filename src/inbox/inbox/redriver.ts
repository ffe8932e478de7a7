import type { Emitter } from '../../running/emitter.ts'
import { decode } from '../decode.ts'
import { blameOf, Conflict, codeOf } from '../failure.ts'
import { handledEvent } from '../handlers.ts'
import { PartitionMemory } from '../partition.ts'
import type { InboxRecord } from '../record.ts'
import type { InboxStatements, SqlClient } from '../statements.ts'
import type { InboxEvents } from '../telemetry.ts'
import { ownStatements, writeIn } from '../transaction.ts'
import type { Applier } from './applier.ts'
import type { ResolvedInbox } from './options.ts'

// Keeps rule 24 of docs/protocol-application.md.

/** Requests that are read at once. */
const requestRows = 100

/** A row of inbox_dead_letter as the statements give it. */
interface DeadLetterRow {
  identity: string
  topic: string
  partition: number
  offset: string
  message_id: string | null
  type: string | null
  key: Uint8Array | null
  value: Uint8Array | null
  headers: Record<string, string>
}

type RequestRow = DeadLetterRow & { action: 'redrive' | 'discard'; by: string | null }
type HeadRow = DeadLetterRow & { reason: string | null; action: RequestRow['action'] | null; by: string | null }

/** A dead-lettered message that cannot be applied, and why. */
class RedriveError extends Error {
  override readonly name = 'RedriveError'
  readonly code: string

  constructor(code: string, what: string) {
    super(what)
    this.code = code
  }
}

/** Carries out what operators request for dead-lettered messages. Every member of the group may: rows are locked while it happens. */
export class Redriver {
  readonly #options: ResolvedInbox
  readonly #statements: InboxStatements
  readonly #applier: Applier
  readonly #telemetry: Emitter<InboxEvents>
  readonly #memory = new PartitionMemory()

  constructor(ports: {
    options: ResolvedInbox
    statements: InboxStatements
    applier: Applier
    telemetry: Emitter<InboxEvents>
  }) {
    this.#options = ports.options
    this.#statements = ports.statements
    this.#applier = ports.applier
    this.#telemetry = ports.telemetry
  }

  /** Queries the requests and carries them out, whole keys in the order of their messages. */
  async carryOut(signal: AbortSignal): Promise<void> {
    const { prisma, consumer } = this.#options
    const rows = await prisma.$queryRaw<RequestRow[]>(this.#statements.requests, consumer, requestRows)
    const done = new Set<string>()
    for (const row of rows) {
      if (signal.aborted) return
      // The key's first request answers all of its redrives.
      const name = row.key === null ? row.identity : `${row.topic} ${Buffer.from(row.key).toString('hex')}`
      if (row.action === 'discard') await this.#discard(row)
      else if (!done.has(name)) await this.#redrive(row, row.by, signal)
      if (row.action === 'redrive') done.add(name)
    }
  }

  /** Drops a message. What waited only for it is applied. */
  async #discard(row: RequestRow): Promise<void> {
    const dropped = await this.#applier.transaction((tx) => this.#drop(tx, row, false))
    if (!dropped) return
    this.#emitDiscarded(row)
    if (row.key !== null) await this.#redrive(row, row.by, undefined, true)
  }

  /** False if it is gone, or nobody wants it dropped any more. `always`: those behind it are to be applied, whatever they failed of. */
  async #drop(tx: SqlClient, { identity, topic, key, by }: RequestRow | HeadRow, always: boolean): Promise<boolean> {
    const { consumer } = this.#options
    if ((await writeIn(tx, this.#statements.discard, consumer, identity)) === 0) return false
    if (key !== null) await writeIn(tx, this.#statements.requestNext, by, consumer, topic, key, always)
    return true
  }

  #emitDiscarded({ topic, partition, offset, message_id: messageId, by }: RequestRow | HeadRow): void {
    this.#telemetry.emit('discarded', { consumer: this.#options.consumer, topic, partition, offset, messageId, by })
  }

  /** Applies the messages of a key until none is left, or one fails. `onlyWaiting`: only while the first has no failure of its own. */
  async #redrive(row: DeadLetterRow, by: string | null, signal?: AbortSignal, onlyWaiting = false): Promise<void> {
    const { consumer } = this.#options
    const { topic } = row
    let messages = 0
    for (let more = true; more && !signal?.aborted; ) {
      const outcome = await this.#first(row, by, onlyWaiting)
      if (outcome === 'applied') messages++
      more = (outcome === 'applied' || outcome === 'dropped') && row.key !== null
    }
    if (messages > 0) this.#telemetry.emit('redriven', { consumer, topic, messages, by })
  }

  /** Applies the first message of a key, or drops it where that is what an operator requests for this one. */
  async #first(row: DeadLetterRow, by: string | null, onlyWaiting: boolean): Promise<'applied' | 'dropped' | 'none' | 'failed'> {
    let head: HeadRow | undefined
    let begun = false
    try {
      const outcome = await this.#applier.transaction(async (tx) => {
        head = await this.#head(tx, row)
        if (head?.action === 'discard') return (await this.#drop(tx, head, !onlyWaiting)) ? 'dropped' : 'none'
        if (!head || (onlyWaiting && head.reason !== null)) return 'none'
        begun = true
        const applied = head
        await this.#apply(tx, applied)
        await ownStatements(() => this.#remove(tx, applied, by, !onlyWaiting))
        return 'applied'
      })
      if (outcome === 'dropped') this.#emitDiscarded(head!)
      return outcome
    } catch (error) {
      // Another member is applying it, or the database is in trouble: the request stays.
      if (head === undefined || !begun || error instanceof Conflict || !(await this.#speaksAgainst(head, error))) {
        if (error instanceof Conflict || codeOf(error) === '55P03') return 'none'
        throw error
      }
      await this.#failed(head, error)
      return 'failed'
    }
  }

  /** As of a message that is read: trouble of the database is none of it. */
  async #speaksAgainst({ identity }: HeadRow, error: unknown): Promise<boolean> {
    const blame = blameOf(error)
    if (blame !== 'either') return blame !== 'database'
    return (await this.#applier.answers()) && this.#memory.failedSoBefore(identity, codeOf(error))
  }

  async #head(tx: SqlClient, { identity, topic, key }: DeadLetterRow): Promise<HeadRow | undefined> {
    const { consumer } = this.#options
    const { head, single } = this.#statements
    const rows =
      key === null
        ? await tx.$queryRaw<HeadRow[]>(single, consumer, identity)
        : await tx.$queryRaw<HeadRow[]>(head, consumer, topic, key)
    return rows[0]
  }

  async #apply(tx: SqlClient, head: HeadRow): Promise<void> {
    const record = recordOf(head)
    const event = handledEvent(record, this.#options)
    if (!event) throw new RedriveError('NO_HANDLER', 'No handler takes its type, in its topic.')
    const decoded = await decode(record, event, this.#options.events)
    if (!('event' in decoded)) throw new RedriveError(decoded.reason, decoded.error)
    await this.#applier.handle([decoded.event], tx)
  }

  /** Removes a message that was applied, and hands the request on. Also fails if an earlier statement did and the handler caught its error. */
  async #remove(tx: SqlClient, { identity, topic, key }: HeadRow, by: string | null, always: boolean): Promise<void> {
    const { consumer } = this.#options
    const { remove, requestNext } = this.#statements
    if ((await writeIn(tx, remove, consumer, identity, consumer, identity)) !== 1) throw new Conflict()
    if (key !== null) await writeIn(tx, requestNext, by, consumer, topic, key, always)
  }

  async #failed({ identity, topic, partition, offset, message_id: messageId, key }: HeadRow, error: unknown): Promise<void> {
    const { prisma, consumer } = this.#options
    const code = error instanceof RedriveError ? error.code : 'HANDLER_FAILED'
    const what = error instanceof Error ? error.message : String(error)
    await prisma.$executeRaw(this.#statements.failedAgain, code, what.slice(0, 2_000), consumer, identity)
    if (key !== null) await prisma.$executeRaw(this.#statements.clearRequests, consumer, topic, key)
    this.#telemetry.emit('request_failed', { consumer, topic, partition, offset, messageId, code: codeOf(error) })
  }
}

const recordOf = ({ message_id: id, identity: _, ...row }: DeadLetterRow): InboxRecord => ({ id, ...row })
