import type { WireBatch, WireRecord } from './kafka-wire.ts'

/** How a {@link FakePartition} treats one batch that is sent to it. */
export interface Turn {
  /** Error code of the answer. @default 0, or what a broker would say */
  error?: number
  /** Whether the batch is written. @default true without an error, else false */
  append?: boolean
  /** `lost`: the connection is closed instead of an answer; `never`: nothing comes any more on this connection. @default 'answer' */
  reply?: 'answer' | 'lost' | 'never'
  /** The batch waits for it before anything happens. */
  after?: Promise<unknown>
  /** Called when the batch has been treated, before the answer leaves: the place to move a leader. */
  afterwards?: () => void
  /** Tells the client to be silent for so long, in ms. */
  throttleMs?: number
  /** The answer leaves the partition out. */
  unnamed?: boolean
  /** Records at fault, by their index in the batch. */
  recordErrors?: number[]
}

/** What is answered about one batch. */
export interface Answer {
  error: number
  baseOffset: bigint
}

/** Batches that a broker remembers of each producer, as in Kafka's ProducerStateEntry. */
const rememberedBatches = 5

/** As `message.max.bytes` of a broker by default. */
const maxBatchBytes = 1_048_588

interface Remembered {
  first: number
  last: number
  baseOffset: bigint
}

/** One partition: its leader, its log, and what is to happen to the next batches. */
export class FakePartition {
  /** Node id; -1: the partition has no leader. */
  leader: number
  readonly log: WireRecord[] = []
  /** Producer ids that wrote here; -1 for one that is not idempotent. */
  readonly producerIds = new Set<bigint>()
  readonly #turns: Turn[] = []
  readonly #producers = new Map<bigint, { epoch: number; batches: Remembered[] }>()

  constructor(leader: number) {
    this.leader = leader
  }

  /** Sets what happens to the next batches, one after the other; later ones are treated as Kafka does. */
  next(...turns: Turn[]): void {
    this.#turns.push(...turns)
  }

  /** Forgets all producers, as after their time. */
  forgetProducers(): void {
    this.#producers.clear()
  }

  takeTurn(): Turn {
    return this.#turns.shift() ?? {}
  }

  take(node: number, batch: WireBatch, bytes: number, turn: Turn): Answer {
    const error = turn.error ?? this.#refusal(node, bytes)
    if (!(turn.append ?? error === 0)) return { error, baseOffset: -1n }
    const written = this.#append(batch)
    return error === 0 ? written : { error, baseOffset: -1n }
  }

  #refusal(node: number, bytes: number): number {
    if (this.leader !== node) return 6
    return bytes > maxBatchBytes ? 10 : 0
  }

  /** A batch of an idempotent producer is acknowledged unwritten if its sequence numbers are those of a remembered one. */
  #append({ producerId, producerEpoch, baseSequence, records }: WireBatch): Answer {
    const baseOffset = BigInt(this.log.length)
    if (producerId >= 0n) {
      const producer = this.#producers.get(producerId)
      // INVALID_PRODUCER_EPOCH
      if (producer && producerEpoch < producer.epoch) return { error: 47, baseOffset: -1n }
      const known = producer?.epoch === producerEpoch ? producer.batches : []
      const last = baseSequence + records.length - 1
      const duplicate = known.find((batch) => batch.first === baseSequence && batch.last === last)
      if (duplicate) return { error: 0, baseOffset: duplicate.baseOffset }
      // A new epoch begins at 0; of a producer that is not known any sequence is taken.
      const first = producer ? 0 : baseSequence
      const expected = known.length === 0 ? first : known.at(-1)!.last + 1
      if (baseSequence !== expected) return { error: 45, baseOffset: -1n }
      const batches = [...known, { first: baseSequence, last, baseOffset }].slice(-rememberedBatches)
      this.#producers.set(producerId, { epoch: producerEpoch, batches })
    }
    this.producerIds.add(producerId)
    this.log.push(...records)
    return { error: 0, baseOffset }
  }
}
