import { once } from 'node:events'
import { setImmediate as answered } from 'node:timers/promises'
import {
  type BatchNumbers,
  type Outcome,
  type ProducerEpoch,
  type Sending,
  type Transport,
  type TransportBatch,
  TransportError,
  type TransportRecord,
} from './transport.ts'

/** One record as it stands in the log of a {@link MemoryTransport}. */
export interface MemoryRecord extends TransportRecord {
  topic: string
  partition: number
  /** Position in its partition, from 0n on. */
  offset: bigint
}

/** Options of {@link memoryTransport}. */
export interface MemoryTransportOptions {
  /** Partitions of topics that are not named in `topics`; 0: such topics do not exist. @default 3 */
  partitions?: number
  /** Partitions of each topic by its name; 0: the topic does not exist. @default {} */
  topics?: Record<string, number>
  /** Whether there are producer ids: with one, a batch that is sent again is in the log once. @default true */
  producerIds?: boolean
  /** Id of the cluster. @default 'memory' */
  clusterId?: string
}

/** How {@link MemoryTransport.refuse} answers. */
export interface MemoryRefusal {
  /** What `publish` answers: anything but an acknowledgement. */
  outcome: Exclude<Outcome, { kind: 'acked' }>
  /** After so many refusals it ends on its own. @default forever */
  times?: number
  /** The batch is in the log in spite of it: a lost acknowledgement. For `unknown` only. @default false */
  written?: boolean
}

/** A {@link Transport} that keeps the log in memory, and fails when a test wants it to. */
export interface MemoryTransport extends Transport {
  /** The log, in the order in which it was written; of one topic, or of all. */
  records(topic?: string): MemoryRecord[]
  /** Every batch that `publish` was called with, in that order, whatever became of it. */
  readonly batches: readonly TransportBatch[]
  /** Resolves when the log, of one topic or of all, holds at least `count` records. */
  written(count: number, topic?: string): Promise<void>
  /** Resolves when `publish` has been called at least `count` times. */
  called(count: number): Promise<void>
  /** Creates a topic, changes its number of partitions, or, with 0, deletes it; what it held stays in `records`. */
  setPartitions(topic: string, partitions: number): void
  /** Refuses every batch that holds a record for which `which` is true, as a whole. The first refusal that fits counts. Returns its end. */
  refuse(which: (record: TransportRecord, batch: TransportBatch) => boolean, refusal: MemoryRefusal): () => void
  /** Nobody answers any more, as from a frozen broker: `publish` waits, `unknown` once its time is over. */
  pause(): void
  /** Ends a pause; who waits still goes on, and what was answered `unknown` meanwhile was not written. */
  resume(): void
  /** Forgets all producers, as brokers do after `producer.id.expiration.ms`: a batch that is sent again is appended again. */
  forgetProducers(): void
  /** No broker is reachable: everything is refused at once. */
  goDown(): void
  /** Ends {@link goDown}. */
  goUp(): void
}

/**
 * A transport for tests: no Kafka, the same contract.
 *
 * @example
 * const transport = memoryTransport({ topics: { orders: 12 } })
 * const accept = transport.refuse((record) => record.key === null, {
 *   outcome: { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'no key' },
 * })
 * // … run a relay with it …
 * await transport.written(3, 'orders')
 */
export function memoryTransport(options: MemoryTransportOptions = {}): MemoryTransport {
  return new InMemory(options)
}

/** Something that is waited for, and how to find out whether it is there. */
interface Wait {
  there: () => boolean
  resolve: () => void
}

/** Batches that a partition remembers of each producer. */
const rememberedBatches = 5

/** What a partition knows of a producer: its epoch and its last batches. */
interface Written {
  epoch: number
  batches: { first: number; last: number; baseOffset: bigint }[]
}

class InMemory implements MemoryTransport {
  readonly name = 'memory'
  readonly producerId?: (signal: AbortSignal) => Promise<ProducerEpoch>
  readonly batches: TransportBatch[] = []
  readonly #log: MemoryRecord[] = []
  readonly #topics: Map<string, number>
  readonly #others: number
  readonly #offsets = new Map<string, bigint>()
  readonly #refusals = new Set<
    MemoryRefusal & { which: (record: TransportRecord, batch: TransportBatch) => boolean; left: number }
  >()
  readonly #waits = new Set<Wait>()
  readonly #producers = new Map<string, Written>()
  readonly #clusterId: string
  #producerIds = 0n
  #paused = false
  #down = false
  #closed = false

  constructor({ partitions = 3, topics = {}, producerIds = true, clusterId = 'memory' }: MemoryTransportOptions) {
    this.#clusterId = clusterId
    if (producerIds)
      this.producerId = async (signal) => {
        await this.connect(signal)
        return { producerId: this.#producerIds++, epoch: 0 }
      }
    this.#others = partitions
    this.#topics = new Map(Object.entries(topics))
  }

  async clusterId(signal: AbortSignal): Promise<string> {
    await this.connect(signal)
    return this.#clusterId
  }

  records(topic?: string): MemoryRecord[] {
    return this.#log.filter((record) => topic === undefined || record.topic === topic)
  }

  written(count: number, topic?: string): Promise<void> {
    return this.#until(() => this.records(topic).length >= count)
  }

  called(count: number): Promise<void> {
    return this.#until(() => this.batches.length >= count)
  }

  setPartitions(topic: string, partitions: number): void {
    this.#topics.set(topic, partitions)
  }

  refuse(which: (record: TransportRecord, batch: TransportBatch) => boolean, refusal: MemoryRefusal): () => void {
    const entry = { ...refusal, which, left: refusal.times ?? Number.POSITIVE_INFINITY }
    this.#refusals.add(entry)
    return () => void this.#refusals.delete(entry)
  }

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#look()
  }

  forgetProducers(): void {
    this.#producers.clear()
  }

  goDown(): void {
    this.#down = true
  }

  goUp(): void {
    this.#down = false
  }

  async connect(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    await Promise.race([this.#goesOn(), once(signal, 'abort')])
    signal.throwIfAborted()
    if (this.#closed) throw new TransportError('CLOSED', 'producer', closed)
    if (this.#down) throw new TransportError('ECONNREFUSED', 'producer', unreachable)
  }

  async partitions(topic: string, signal: AbortSignal): Promise<number> {
    await this.connect(signal)
    const count = this.#count(topic)
    if (count === 0) throw new TransportError('UNKNOWN_TOPIC_OR_PARTITION', 'topic', missing)
    return count
  }

  async allPartitions(topics: readonly string[], signal: AbortSignal): Promise<Map<string, number | TransportError>> {
    await this.connect(signal)
    const counted = (topic: string) => this.#count(topic) || new TransportError('UNKNOWN_TOPIC_OR_PARTITION', 'topic', missing)
    return new Map(topics.map((topic) => [topic, counted(topic)]))
  }

  async publish(batch: TransportBatch, timeoutMs: number, { waitMs = timeoutMs, giveUp }: Sending = {}): Promise<Outcome> {
    this.batches.push(batch)
    this.#look()
    if (this.#closed) return { kind: 'not-written', scope: 'producer', code: 'CLOSED', error: closed }
    let timer: NodeJS.Timeout | undefined
    const begun = performance.now()
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, Math.max(timeoutMs, waitMs), 'late')
      giveUp?.addEventListener('abort', () => resolve('late'), { once: true })
      if (giveUp?.aborted) resolve('late')
    })
    const first = await Promise.race([this.#goesOn(), late])
    clearTimeout(timer)
    if (first === 'late') {
      return { kind: 'unknown', code: 'TIMEOUT', error: `No answer within ${Math.round(performance.now() - begun)} ms.` }
    }
    return this.#closed ? { kind: 'unknown', code: 'CLOSED', error: closed } : this.#take(batch)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#look()
  }

  #take(batch: TransportBatch): Outcome {
    if (this.#down) return { kind: 'not-written', scope: 'producer', code: 'ECONNREFUSED', error: unreachable }
    const count = this.#count(batch.topic)
    if (count === 0) return { kind: 'not-written', scope: 'topic', code: 'UNKNOWN_TOPIC_OR_PARTITION', error: missing }
    if (!(batch.partition >= 0 && batch.partition < count)) {
      const error = `The topic has no partition ${batch.partition}.`
      return { kind: 'not-written', scope: 'transient', code: 'PARTITION_NOT_FOUND', error }
    }
    for (const refusal of this.#refusals) {
      if (!batch.records.some((record) => refusal.which(record, batch))) continue
      if (--refusal.left <= 0) this.#refusals.delete(refusal)
      if (refusal.written && refusal.outcome.kind === 'unknown') this.#write(batch)
      return refusal.outcome
    }
    return this.#write(batch)
  }

  /** Appends the batch, unless its numbers are those of one that is there, or none that the partition expects. */
  #write(batch: TransportBatch): Outcome {
    const { numbers, topic, partition } = batch
    if (!numbers) return { kind: 'acked', baseOffset: this.#append(batch) }
    const name = `${numbers.producerId} ${partition} ${topic}`
    const known = this.#producers.get(name)
    const last = numbers.sequence + batch.records.length - 1
    if (known && numbers.epoch < known.epoch) return unfitNumbers('INVALID_PRODUCER_EPOCH')
    if (known && numbers.epoch === known.epoch) {
      const twin = known.batches.find((one) => one.first === numbers.sequence && one.last === last)
      if (twin) return { kind: 'acked', baseOffset: twin.baseOffset }
    }
    if (!fits(numbers, known)) return unfitNumbers('OUT_OF_ORDER_SEQUENCE_NUMBER')
    const baseOffset = this.#append(batch)
    const batches = known?.epoch === numbers.epoch ? known.batches : []
    const written = [...batches, { first: numbers.sequence, last, baseOffset }].slice(-rememberedBatches)
    this.#producers.set(name, { epoch: numbers.epoch, batches: written })
    return { kind: 'acked', baseOffset }
  }

  #append({ topic, partition, records }: TransportBatch): bigint {
    const place = `${partition} ${topic}`
    const baseOffset = this.#offsets.get(place) ?? 0n
    records.forEach(({ key, value, headers }, index) => {
      this.#log.push({ topic, partition, offset: baseOffset + BigInt(index), key, value, headers: { ...headers } })
    })
    this.#offsets.set(place, baseOffset + BigInt(records.length))
    this.#look()
    return baseOffset
  }

  #count(topic: string): number {
    return this.#topics.get(topic) ?? this.#others
  }

  /** Resolves when the broker answers, or never will. Always asynchronous, as an answer is. */
  async #goesOn(): Promise<void> {
    await answered()
    await this.#until(() => !this.#paused || this.#closed)
  }

  #until(there: () => boolean): Promise<void> {
    if (there()) return Promise.resolve()
    return new Promise((resolve) => this.#waits.add({ there, resolve }))
  }

  /** Wakes anyone who waits for what is there now. */
  #look(): void {
    for (const wait of this.#waits) {
      if (!wait.there()) continue
      this.#waits.delete(wait)
      wait.resolve()
    }
  }
}

/** Whether a batch continues what a partition knows of its producer: any sequence if that is nothing, 0 in a new epoch. */
function fits({ epoch, sequence }: BatchNumbers, known: Written | undefined): boolean {
  if (!known) return true
  return sequence === (known.epoch === epoch ? known.batches.at(-1)!.last + 1 : 0)
}

const unfitNumbers = (code: string): Outcome => ({ kind: 'unknown', code, error: 'The partition expects other numbers.' })

const closed = 'The transport is closed.'
const unreachable = 'No broker is reachable.'
const missing = 'There is no such topic.'
