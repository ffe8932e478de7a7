import type { Clock } from '../../running/clock.ts'
import { around, asTransportError, type Outcome, type Transport, TransportError } from '../../transport/transport.ts'
import { bugCode } from '../publish/bug.ts'
import type { ClusterBreaker } from '../publish/cluster-breaker.ts'

/** How much of a lease may pass without an answer before a broker is asked, and how much between two questions that had none. */
export const askAfter = 1 / 2
export const askAgain = 1 / 8

/** Answers that a broker has given. One about a record may be the client's own, which refuses some without asking. */
const isAnswer = (outcome: Outcome): boolean =>
  outcome.kind === 'acked' || (outcome.kind === 'not-written' && (outcome.scope === 'topic' || outcome.scope === 'transient'))

/**
 * Knows when a broker last answered this relay, by whatever request. It listens on the transport that lanes, topics and circuit breaker use, and asks
 * on its own if nobody does. The leases read it: heartbeats carry it, and a relay without answers yields to peers that have some (rule 5).
 */
export class Answers {
  /** The transport, listened to. */
  readonly transport: Transport
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #since: number
  #answeredAt: number | undefined
  /** A count, and no times: the judge of tests takes the last look at the clock before a batch for the check of its leases. */
  #asked = 0
  /** Number of the newest question that was not answered, and of the newest batch that was not acknowledged. */
  #failed = 0
  #refused = 0
  #breaker: Pick<ClusterBreaker, 'trouble' | 'trust'> | undefined

  constructor({ transport, clock, leaseMs }: { transport: Transport; clock: Clock; leaseMs: number }) {
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#since = clock.now()
    this.transport = around(transport, {
      connect: (signal) => this.#question(transport.connect(signal)),
      partitions: (topic, signal) => this.#question(transport.partitions(topic, signal)),
      allPartitions: (topics, signal) => this.#question(transport.allPartitions(topics, signal)),
      ...(transport.producerId && { producerId: (signal) => this.#question(transport.producerId!(signal)) }),
      ...(transport.clusterId && { clusterId: (signal) => this.#question(transport.clusterId!(signal)) }),
      publish: async (batch, timeoutMs, how) => {
        const number = ++this.#asked
        const outcome = await transport.publish(batch, timeoutMs, how)
        if (isAnswer(outcome)) this.#answered()
        if (outcome.kind !== 'acked') this.#refused = Math.max(this.#refused, number)
        return outcome
      },
    })
  }

  /** Milliseconds since a broker last answered; null: none has yet. */
  get msAgo(): number | null {
    return this.#answeredAt === undefined ? null : this.#clock.now() - this.#answeredAt
  }

  /** Milliseconds without an answer, since the last one or since the start. */
  get silentMs(): number {
    return this.#clock.now() - (this.#answeredAt ?? this.#since)
  }

  /** Questions so far that were put to brokers. A batch counts as one. */
  get asked(): number {
    return this.#asked
  }

  /** Whether a question after so many had no answer. */
  failedSince(asked: number): boolean {
    return this.#failed > asked
  }

  /** Whether a batch after so many questions was not acknowledged, or a question not answered. */
  refusedSince(asked: number): boolean {
    return Math.max(this.#failed, this.#refused) > asked
  }

  /**
   * Asks a broker if nothing else has been answered for a part of a lease. Brokers that never answered, or not for a whole lease, are trouble, also
   * while no message waits: nobody else would tell of wrong addresses before the first message.
   */
  async run(signal: AbortSignal, breaker: Pick<ClusterBreaker, 'trouble' | 'trust'>): Promise<void> {
    this.#breaker = breaker
    while (!signal.aborted) {
      const due = this.#answeredAt === undefined ? 0 : this.#answeredAt + this.#leaseMs * askAfter - this.#clock.now()
      if (due > 0) {
        await this.#clock.wait(due, signal)
        continue
      }
      try {
        await this.transport.connect(signal)
      } catch (error) {
        const { code, message } = asTransportError(error)
        const silent = this.#answeredAt === undefined || this.silentMs >= this.#leaseMs
        if (silent && code !== bugCode && !signal.aborted) breaker.trouble(this, code, message)
        await this.#clock.wait(this.#leaseMs * askAgain, signal)
      }
    }
  }

  async #question<T>(question: Promise<T>): Promise<T> {
    const number = ++this.#asked
    try {
      const answer = await question
      this.#answered()
      return answer
    } catch (error) {
      if (error instanceof TransportError && error.scope === 'topic') this.#answered()
      else this.#failed = Math.max(this.#failed, number)
      throw error
    }
  }

  #answered(): void {
    this.#answeredAt = this.#clock.now()
    this.#breaker?.trust(this)
  }
}
