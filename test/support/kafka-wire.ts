/** Reads Kafka's wire format. `flexible` versions of an API have compact lengths and tagged fields. */
export class WireReader {
  #at = 0
  readonly #bytes: Buffer
  flexible = false

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get done(): boolean {
    return this.#at >= this.#bytes.length
  }

  int8 = () => this.#bytes.readInt8(this.#take(1))
  int16 = () => this.#bytes.readInt16BE(this.#take(2))
  int32 = () => this.#bytes.readInt32BE(this.#take(4))
  int64 = () => this.#bytes.readBigInt64BE(this.#take(8))
  raw = (length: number) => this.#bytes.subarray(this.#take(length), this.#at)

  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes[this.#take(1)]!
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
  }

  varint(): number {
    const value = this.unsignedVarint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }

  /** Bytes with their length in front, as a record has them; null for a length of -1. */
  varintBytes(): Buffer | null {
    const length = this.varint()
    return length < 0 ? null : this.raw(length)
  }

  string(): string | null {
    const length = this.flexible ? this.unsignedVarint() - 1 : this.int16()
    return length < 0 ? null : this.raw(length).toString()
  }

  bytes(): Buffer {
    return this.raw(this.flexible ? this.unsignedVarint() - 1 : this.int32())
  }

  /** null for an absent array. */
  array<T>(one: () => T): T[] | null {
    const length = this.flexible ? this.unsignedVarint() - 1 : this.int32()
    return length < 0 ? null : Array.from({ length }, one)
  }

  tags(): void {
    if (!this.flexible) return
    for (let left = this.unsignedVarint(); left > 0; left--) {
      this.unsignedVarint()
      this.raw(this.unsignedVarint())
    }
  }

  #take(length: number): number {
    const at = this.#at
    this.#at += length
    if (this.#at > this.#bytes.length) throw new RangeError('The request ends too early.')
    return at
  }
}

/** Writes Kafka's wire format. */
export class WireWriter {
  readonly #parts: Buffer[] = []
  readonly #flexible: boolean

  constructor(flexible: boolean) {
    this.#flexible = flexible
  }

  int8 = (value: number) => this.#number(1, (bytes) => bytes.writeInt8(value))
  int16 = (value: number) => this.#number(2, (bytes) => bytes.writeInt16BE(value))
  int32 = (value: number) => this.#number(4, (bytes) => bytes.writeInt32BE(value))
  int64 = (value: bigint) => this.#number(8, (bytes) => bytes.writeBigInt64BE(value))
  raw = (bytes: Buffer) => {
    this.#parts.push(bytes)
    return this
  }

  unsignedVarint(value: number): this {
    const bytes: number[] = []
    let left = value
    for (; left >= 0x80; left = Math.floor(left / 128)) bytes.push((left % 128) | 0x80)
    return this.raw(Buffer.from([...bytes, left]))
  }

  string(value: string | null): this {
    const bytes = Buffer.from(value ?? '')
    const length = value === null ? -1 : bytes.length
    return (this.#flexible ? this.unsignedVarint(length + 1) : this.int16(length)).raw(bytes)
  }

  array<T>(values: readonly T[], one: (value: T) => void): this {
    if (this.#flexible) this.unsignedVarint(values.length + 1)
    else this.int32(values.length)
    for (const value of values) one(value)
    return this
  }

  tags(): this {
    return this.#flexible ? this.unsignedVarint(0) : this
  }

  done = () => Buffer.concat(this.#parts)

  #number(size: number, write: (bytes: Buffer) => void): this {
    const bytes = Buffer.alloc(size)
    write(bytes)
    return this.raw(bytes)
  }
}

/** A record of a batch, as a client wrote it. */
export interface WireRecord {
  key: Buffer | null
  value: Buffer | null
  headers: Record<string, string>
}

/** A record batch (format 2) of a produce request. */
export interface WireBatch {
  producerId: bigint
  producerEpoch: number
  baseSequence: number
  records: WireRecord[]
}

/** Takes a record batch apart. Compressed ones are refused: no client of ours compresses. */
export function readBatch(bytes: Buffer): WireBatch {
  const reader = new WireReader(bytes)
  reader.int64()
  reader.int32()
  reader.int32()
  if (reader.int8() !== 2) throw new Error('Not a record batch of format 2.')
  reader.int32()
  if ((reader.int16() & 7) !== 0) throw new Error('The batch is compressed.')
  reader.int32()
  reader.int64()
  reader.int64()
  const [producerId, producerEpoch, baseSequence] = [reader.int64(), reader.int16(), reader.int32()]
  const records = Array.from({ length: reader.int32() }, () => readRecord(reader))
  if (!reader.done) throw new Error('More than one batch for a partition.')
  return { producerId, producerEpoch, baseSequence, records }
}

function readRecord(reader: WireReader): WireRecord {
  reader.varint()
  reader.int8()
  reader.varint()
  reader.varint()
  const [key, value] = [reader.varintBytes(), reader.varintBytes()]
  const headers: Record<string, string> = {}
  for (let left = reader.varint(); left > 0; left--) headers[String(reader.varintBytes())] = String(reader.varintBytes())
  return { key, value, headers }
}
