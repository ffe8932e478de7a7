import type { Message } from 'kafkajs'
import type { Fuse } from '../fuse.ts'
import type { TransportBatch } from '../transport.ts'

/**
 * A batch in place of kafkajs' array of messages, which it would group by partition in quadratic time. All that its producer (2.2.4) asks of
 * the array is here; what becomes of the batch below the producer is {@link SharedRequests}'. Another version may ask for something else;
 * the dependency is pinned, and the conformance suite reads every byte back.
 */
export class KafkajsBatch {
  readonly length: number
  /** Of keys and values. */
  readonly bytes: number
  /** Whether it shares its request with no other. */
  readonly alone: boolean
  readonly fuse: Fuse
  readonly #batch: TransportBatch

  constructor(batch: TransportBatch, fuse: Fuse, alone = false) {
    this.length = batch.records.length
    this.bytes = batch.records.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0), 0)
    this.alone = alone
    this.#batch = batch
    this.fuse = fuse
  }

  /** As what `send` is declared to take. */
  get messages(): Message[] {
    return this as unknown as Message[]
  }

  /** Asked for a message without value; none is: the records were looked at before. */
  find(): undefined {
    return undefined
  }

  /** Asked for the messages of each partition. */
  reduce(): Record<number, this> {
    return { [this.#batch.partition]: this }
  }

  /** The batch itself, to be written into a request; throws when it is too late for that. */
  take(): TransportBatch {
    return this.fuse.pass(this.#batch)
  }
}
