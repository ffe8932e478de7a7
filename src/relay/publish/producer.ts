import {
  asTransportError,
  offersNoProducerId,
  type ProducerEpoch,
  type Transport,
  type TransportError,
} from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'

/** The highest epoch of a producer id. */
const lastEpoch = 32_767

/** Brokers that answer and fail to give a producer id this many times in a row count as offering none. */
const mostFailures = 3

/** Milliseconds until brokers that offer no producer id are asked again. */
const askAgainMs = 60_000

/**
 * Gives the lanes of a relay producer ids with epochs that nobody has used (rule 21). One id serves the whole relay: a partition takes
 * every higher epoch of a producer id without a request (KIP-360). `Topics` owns it; the sequences of the lanes ask it.
 */
export class Producer {
  readonly #context: RelayContext
  #next: ProducerEpoch | undefined
  #asking: Promise<void> | undefined
  #failures = 0
  /** Asked once; asked again after a failure. */
  #cluster: Promise<string | undefined> | undefined
  /** Until then batches are sent without numbers, on the relay's clock. */
  #noneUntil = Number.NEGATIVE_INFINITY
  #told = false

  constructor(context: RelayContext) {
    this.#context = context
  }

  /** Whether nothing may be sent without numbers. */
  get isNeeded(): boolean {
    return this.#context.state.exactlyOnce
  }

  /** The epochs of the present id are not used any more. */
  change(): void {
    this.#next = undefined
  }

  /**
   * A producer id with an epoch that nobody has used; undefined: there is none to be had, and batches are sent without numbers.
   *
   * @throws TransportError No broker answered, or not with an id.
   */
  async fresh(): Promise<ProducerEpoch | undefined> {
    while (!this.#next) {
      if (!this.isNeeded && this.#context.clock.now() < this.#noneUntil) return undefined
      this.#asking ??= this.#ask(this.#context.transport).finally(() => {
        this.#asking = undefined
      })
      await this.#asking
    }
    const given = this.#next
    this.#next = given.epoch < lastEpoch ? { ...given, epoch: given.epoch + 1 } : undefined
    return given
  }

  /**
   * Id of the cluster to which the producer ids belong; undefined: the transport does not tell.
   *
   * @throws TransportError No broker answered.
   */
  cluster(): Promise<string | undefined> {
    const { transport, signal } = this.#context
    this.#cluster ??= (async () => transport.clusterId?.(signal))()
    this.#cluster.catch(() => {
      this.#cluster = undefined
    })
    return this.#cluster
  }

  async #ask({ name, producerId }: Transport): Promise<void> {
    if (!producerId) return this.#goWithout('NOT_SUPPORTED', `The transport ${name} has no producer ids.`)
    try {
      const cluster = this.isNeeded ? await this.cluster() : undefined
      this.#next = { ...(await this.#context.transport.producerId!(this.#context.signal)), cluster }
      this.#failures = 0
      this.#told = false
    } catch (error) {
      this.#failed(asTransportError(error))
    }
  }

  #failed(error: TransportError): void {
    if (this.isNeeded || (!offersNoProducerId.has(error.code) && ++this.#failures < mostFailures)) throw error
    this.#failures = 0
    this.#goWithout(error.code, error.message)
  }

  #goWithout(code: string, error: string): void {
    const { clock, telemetry } = this.#context
    this.#noneUntil = clock.now() + askAgainMs
    if (!this.#told) telemetry.emit('sequences_unavailable', { code, error })
    this.#told = true
  }
}
