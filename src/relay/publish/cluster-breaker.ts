import { backoff } from '../../running/backoff.ts'
import type { Clock } from '../../running/clock.ts'
import { retry } from '../../running/retry.ts'
import { asTransportError, type Transport } from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'
import type { Telemetry } from '../telemetry.ts'

/** Back-off between two questions for a broker, in milliseconds. */
const askAgain = { firstMs: 200, maxMs: 5_000 }

/**
 * Asked before every publish. At a doubt about Kafka as a whole it closes. It then asks for a broker with back-off and jitter, forever, and
 * opens when one answers. If brokers answer and still take nothing, it stays closed longer each time. A trouble begins with
 * the first doubt. It ends when every lane and topic in doubt was acknowledged, has nothing left to send, or was answered by a broker
 * that blames the topic alone. A topic that stays missing must not keep the relay in trouble.
 * Keeps rule 5 of docs/protocol.md.
 */
export class ClusterBreaker {
  readonly #transport: Transport
  readonly #clock: Clock
  readonly #telemetry: Telemetry
  readonly #signal: AbortSignal
  readonly #doubters = new Set<object>()
  #trouble: { since: number; code: string } | undefined
  #probing: Promise<void> | undefined
  readonly #random: () => number
  /** Doubts since the last acknowledgement, those during one probe counted once. */
  #doubts = 0

  constructor({ transport, clock, telemetry, signal, random }: RelayContext) {
    this.#transport = transport
    this.#clock = clock
    this.#telemetry = telemetry
    this.#signal = signal
    this.#random = random
  }

  /** Whether it waits for a broker that answers. */
  get closed(): boolean {
    return this.#probing !== undefined
  }

  /** Code with which the trouble began that goes on; undefined: there is none. */
  get code(): string | undefined {
    return this.#trouble?.code
  }

  /** Resolves when sending makes sense, or when the relay stops. */
  async passable(): Promise<void> {
    while (this.#probing) await this.#probing
  }

  /**
   * `who` saw something that may mean that Kafka as a whole is in trouble: nothing is sent before a broker answers. `again`: `who` is stuck
   * and waits between its requests anyway; where brokers answer, the others do not wait with it.
   */
  doubt(who: object, code: string, error: string, { again = false } = {}): void {
    this.trouble(who, code, error)
    this.#probing ??= this.#probe(again).finally(() => {
      this.#probing = undefined
    })
  }

  /** `who` is in trouble: it is told, and the others go on. */
  trouble(who: object, code: string, error: string): void {
    if (!this.#trouble) {
      this.#trouble = { since: this.#clock.now(), code }
      this.#telemetry.emit('kafka_trouble', { code, error })
    }
    this.#doubters.add(who)
  }

  /** `who` has been acknowledged: Kafka takes messages. */
  acknowledged(who: object): void {
    this.#doubts = 0
    this.trust(who)
  }

  /** `who` is in no trouble, or has nothing to send any more. */
  trust(who: object): void {
    if (!this.#doubters.delete(who) || this.#doubters.size > 0 || !this.#trouble) return
    this.#telemetry.emit('kafka_recovered', { ms: Math.round(this.#clock.now() - this.#trouble.since) })
    this.#trouble = undefined
  }

  async #probe(again: boolean): Promise<void> {
    const clock = this.#clock
    const signal = this.#signal
    if (!again && ++this.#doubts > 1) await clock.wait(backoff(this.#doubts - 1, this.#random()), signal)
    const connect = async () => {
      try {
        await this.#transport.connect(signal)
      } catch (error) {
        throw asTransportError(error)
      }
    }
    // No answer is reason to give up: only the end of the relay is.
    await retry(connect, (_, attempt) => backoff(attempt, this.#random(), askAgain), { clock, signal })
  }
}
