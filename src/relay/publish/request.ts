import { tracesOf } from '../../message/trace.ts'
import { stackOf } from '../../running/stack-of.ts'
import type { Outcome, Sending, TransportRecord } from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'
import type { CarriedRow } from '../state/claim.ts'
import { toRecord } from './record.ts'
import { bytesOf } from './send-queue.ts'

/** The client threw, which its contract forbids: a bug. The record may be in the log all the same. */
export const bugCode = 'INTERNAL_ERROR'

/**
 * One request on its way: a batch of one topic-partition, sent once. A lane makes it, has at most one, and acts on its outcome; here it is
 * only sent, and told to telemetry.
 * Keeps rules 2 and 3 of docs/protocol.md.
 */
export class Request {
  readonly rows: readonly CarriedRow[]
  readonly bytes: number
  /** On the relay's clock. */
  readonly sentAt: number
  readonly #context: RelayContext
  readonly #to: { topic: string; partition: number }
  readonly #giveUp = new AbortController()

  constructor(rows: readonly CarriedRow[], to: { topic: string; partition: number }, context: RelayContext) {
    this.rows = rows
    this.bytes = bytesOf(rows)
    this.sentAt = context.clock.now()
    this.#to = to
    this.#context = context
  }

  /**
   * Sends it. Never rejects: nobody waits for a lane, and what it threw would end the process. `known`: the code of the failure before it;
   * a bug is told once.
   */
  async outcome(how: Omit<Sending, 'giveUp'>, known: string | undefined): Promise<Outcome> {
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
      return await transport.publish({ ...this.#to, records }, settings.requestTimeoutMs, { ...how, giveUp: this.#giveUp.signal })
    } catch (error) {
      if (known !== bugCode) telemetry.emit('internal_error', { during: 'publish', error: stackOf(error) })
      return { kind: 'unknown', code: bugCode, error: 'An error of the program, not of Kafka.' }
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
