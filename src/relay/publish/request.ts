import { tracesOf } from '../../message/trace.ts'
import type { BatchNumbers, Outcome, Sending, TransportRecord } from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'
import type { CarriedRow } from '../state/claim.ts'
import { bugCode, tellBug } from './bug.ts'
import { toRecord } from './record.ts'
import { bytesOf } from './send-queue.ts'
import type { Sequence } from './sequence.ts'

/**
 * One request on its way: a batch of one topic-partition, sent once. A lane makes it, has at most one, and acts on its outcome; here it is
 * only sent, and told to telemetry.
 * Keeps rules 2, 3 and 21 of docs/protocol.md.
 */
export class Request {
  readonly rows: readonly CarriedRow[]
  readonly bytes: number
  /** On the relay's clock. */
  sentAt: number
  /** Undefined: it is sent without. */
  readonly numbers: BatchNumbers | undefined
  readonly #context: RelayContext
  readonly #to: { topic: string; partition: number }
  readonly #giveUp = new AbortController()

  constructor(rows: readonly CarriedRow[], to: { topic: string; partition: number }, sequence: Sequence, context: RelayContext) {
    this.rows = rows
    this.bytes = bytesOf(rows)
    this.sentAt = context.clock.now()
    this.#to = to
    this.#context = context
    this.numbers = this.#numbersOf(sequence)
  }

  /**
   * Sends it. Never rejects: nobody waits for a lane, and what it threw would end the process. `known`: the code of the failure before it;
   * a bug is told once.
   */
  async outcome(how: Omit<Sending, 'giveUp'>, known: string | undefined): Promise<Outcome> {
    this.sentAt = this.#context.clock.now()
    const outcome = await this.#publish(how, known)
    this.#tell(outcome)
    return outcome
  }

  /**
   * The leases of the batch end, or are to be given back: it is waited for as long as any request is, and no longer (rule 3). The next
   * owner of its buckets begins no sooner: the leases were as long when it was sent.
   */
  endWait(): void {
    const { clock, settings, signal } = this.#context
    const left = this.sentAt + settings.requestTimeoutMs - clock.now()
    if (left <= 0) this.#giveUp.abort()
    else void clock.wait(left, signal).then(() => this.#giveUp.abort())
  }

  async #publish(how: Omit<Sending, 'giveUp'>, known: string | undefined): Promise<Outcome> {
    const { transport, settings, telemetry } = this.#context
    let records: TransportRecord[]
    try {
      records = this.rows.map(toRecord)
    } catch {
      return { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'It cannot be made a record.' }
    }
    try {
      const batch = { ...this.#to, records, numbers: this.numbers }
      return await transport.publish(batch, settings.requestTimeoutMs, { ...how, giveUp: this.#giveUp.signal })
    } catch (error) {
      if (known !== bugCode) tellBug(telemetry, 'publish', error)
      return { kind: 'unknown', code: bugCode, error: 'An error of the program, not of Kafka.' }
    }
  }

  /** Sent without numbers the batch may become a copy; under numbers of another one it would be lost. */
  #numbersOf(sequence: Sequence): BatchNumbers | undefined {
    try {
      return sequence.numbersOf(this.rows)
    } catch (error) {
      tellBug(this.#context.telemetry, 'publish', error)
      return undefined
    }
  }

  #tell(outcome: Outcome): void {
    const { telemetry, clock } = this.#context
    if (outcome.kind === 'not-written' && outcome.scope === 'throttled') return
    const { rows, bytes, sentAt } = this
    const what = { ...this.#to, records: rows.length, ms: clock.now() - sentAt, traces: tracesOf(rows) }
    if (outcome.kind !== 'acked') {
      telemetry.emit('publish_failed', { ...what, kind: outcome.kind, code: outcome.code })
      return
    }
    const now = clock.date()
    telemetry.emit('published', { ...what, bytes, agesMs: rows.map((row) => now - row.createdAt) })
  }
}
