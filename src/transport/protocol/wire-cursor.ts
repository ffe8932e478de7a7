/** Bytes of Kafka that cannot be read. The message says why, and begins with "it" or "its": the batch or the answer. */
export class Unreadable extends Error {
  override readonly name = 'Unreadable'
  /** Offset of the batch at fault, as far as it is known. */
  readonly offset: bigint | undefined

  constructor(why: string, offset?: bigint, cause?: unknown) {
    super(why, { cause })
    this.offset = offset
  }
}

const tooLong = 'it has a length that leads behind its end'

/**
 * Reads numbers and bytes of Kafka's wire format, one behind the other, and none behind the end. Used by `record-batch-reader.ts` and
 * `fetch-answer.ts`. Bytes are views of what is read.
 */
export class WireCursor {
  readonly #bytes: Buffer
  #at = 0
  #end: number

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#end = bytes.length
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#end - this.#at
  }

  int8 = (): number => this.#bytes.readInt8(this.#take(1))
  int16 = (): number => this.#bytes.readInt16BE(this.#take(2))
  int32 = (): number => this.#bytes.readInt32BE(this.#take(4))
  int64 = (): bigint => this.#bytes.readBigInt64BE(this.#take(8))
  raw = (length: number): Buffer => this.#bytes.subarray(this.#take(length), this.#at)

  /** A text with its length in front; null for a length of -1. */
  text(): string | null {
    const length = this.int16()
    return length === -1 ? null : this.raw(length).toString()
  }

  /** A list with its length in front; empty for a length of -1. An entry has at least `least` bytes. */
  list<T>(least: number, one: () => T): T[] {
    const length = this.int32()
    if (length === -1) return []
    if (length < 0 || length > this.left / least) throw new Unreadable('it has a list of impossible length')
    return Array.from({ length }, one)
  }

  /** A number of 32 bits in one to five bytes. */
  varint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
    }
    throw new Unreadable('it has a number that does not end')
  }

  /** A number of 64 bits in one to ten bytes. */
  varlong(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, (BigInt.asUintN(64, value) >> 1n) ^ -(value & 1n))
    }
    throw new Unreadable('it has a number that does not end')
  }

  /** Bytes with a varint as length in front; null for a length of -1. */
  varBytes(): Buffer | null {
    const length = this.varint()
    return length === -1 ? null : this.raw(length)
  }

  /** Reads a part of its own, which `read` has to read to its end. */
  part<T>(length: number, read: () => T): T {
    const end = this.#at + length
    if (length < 0 || end > this.#end) throw new Unreadable(tooLong)
    const outer = this.#end
    this.#end = end
    const result = read()
    if (this.#at !== end) throw new Unreadable('it has a record of another length than it says')
    this.#end = outer
    return result
  }

  #byte(): number {
    if (this.#at === this.#end) throw new Unreadable(tooLong)
    return this.#bytes[this.#at++]!
  }

  #take(length: number): number {
    const at = this.#at
    if (length < 0 || length > this.#end - at) throw new Unreadable(tooLong)
    this.#at = at + length
    return at
  }
}
