import type { Message } from 'kafkajs'
import { encodeRecords } from './encode.ts'
import type { Fuse } from './fuse.ts'
import type { TransportBatch } from './transport.ts'

/** What kafkajs takes for an encoder of one record. */
interface Encoded {
  buf: Buffer
  buffer: Buffer
}

const nothing: Encoded = { buf: Buffer.alloc(0), buffer: Buffer.alloc(0) }

/**
 * A batch in place of kafkajs' array of messages. kafkajs groups messages by partition in quadratic time and allocates 512 bytes, set to
 * zero, for every record and again for each of its headers: half of what a relay did was that. All that its producer (2.2.4) asks of the
 * array is here, and the answers are a batch that is grouped and encoded already. Another version may ask for something else; the
 * dependency is pinned, and the conformance suite reads every byte back.
 */
export class KafkajsBatch {
  readonly length: number
  /** Of keys and values. */
  readonly bytes: number
  readonly #batch: TransportBatch
  readonly #fuse: Fuse

  constructor(batch: TransportBatch, fuse: Fuse) {
    this.length = batch.records.length
    this.bytes = batch.records.reduce((sum, { key, value }) => sum + (key?.length ?? 0) + (value?.length ?? 0), 0)
    this.#batch = batch
    this.#fuse = fuse
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

  /** Asked for the timestamps, which are left to the time of the request, and then, with a place for each, for the encoded records. */
  map(of: (...args: never[]) => unknown): Encoded[] {
    if (of.length < 2) return []
    const bytes = encodeRecords(this.#fuse.pass(this.#batch.records))
    const records = new Array<Encoded>(this.length).fill(nothing)
    // kafkajs counts the records and writes them one behind the other.
    records[0] = { buf: bytes, buffer: bytes }
    return records
  }
}
