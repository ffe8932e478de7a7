import {
  type Outcome,
  type SearchLog,
  type Sending,
  type Transport,
  type TransportBatch,
  TransportError,
} from '../../../src/transport/transport.ts'
import type { Judge } from './judge.ts'
import type { Process, World } from './world.ts'

/** What becomes of a produce request. The last three are never answered as long as the connection lives. */
export const fates = [
  'acknowledged',
  'acknowledgement lost',
  'request lost',
  'appended late',
  'transient',
  'topic',
  'producer',
  'silent',
  'silent and appended',
] as const

type Fate = (typeof fates)[number]

/** Batches that a partition remembers of each producer. */
const rememberedBatches = 5

/** What a partition knows of a producer: its epoch, and first and last sequence of its last batches. */
interface Known {
  epoch: number
  batches: { first: number; last: number }[]
}

/** Kafka, as several processes reach it. */
export class Broker {
  /** Of the next requests; after them everything is acknowledged. */
  readonly fates: Fate[] = []
  /** Messages that are refused. */
  readonly poison = new Set<string>()
  /** Messages that were ever refused. */
  readonly wasPoison = new Set<string>()
  /** Whether a refusal names its records. */
  names = false
  readonly missing = new Set<string>()
  /** Partitions that lack replicas, each as `topic/partition`: they refuse everything while the others go on. */
  readonly short = new Set<string>()
  /** Topics of which brokers name one partition only, as one that is behind does. */
  readonly fewer = new Set<string>()
  up = true
  /** Late requests wait while true. */
  holdsLate = true
  readonly #world: World
  readonly #judge: Judge
  readonly #producers = new Map<string, Known>()
  #producerIds = 0n

  constructor(world: World, judge: Judge) {
    this.#world = world
    this.#judge = judge
  }

  /** The way of one process to it. */
  transport(process: Process, relay: () => string): Transport {
    const ask = async (what: string, signal: AbortSignal) => {
      signal.throwIfAborted()
      await this.#reached(process, what)
      signal.throwIfAborted()
      if (!this.up) throw new TransportError('ECONNREFUSED', 'producer', 'nobody is there')
    }
    return {
      name: 'model',
      connect: (signal) => ask('asks a broker', signal),
      partitions: async (topic, signal) => {
        await ask('asks for partitions', signal)
        if (this.missing.has(topic)) throw new TransportError('UNKNOWN_TOPIC_OR_PARTITION', 'topic', 'there is none')
        return this.fewer.has(topic) ? 1 : 2
      },
      allPartitions: () => Promise.reject(new Error('a world has few topics')),
      producerId: async (signal) => {
        await ask('asks for a producer id', signal)
        return { producerId: this.#producerIds++, epoch: 0 }
      },
      publish: (batch, timeoutMs, how) => this.#publish(process, relay(), batch, { timeoutMs, ...how }),
      close: async () => {},
    }
  }

  /** Searches the log for records, as of this moment. */
  search(process: Process): SearchLog {
    return async ({ messageIds }) => {
      await this.#reached(process, 'searches the log')
      if (!this.up) throw new Error('nobody is there')
      return this.#judge.searched(process, messageIds)
    }
  }

  /** A question and its answer. */
  async #reached(process: Process, what: string): Promise<void> {
    await this.#world.moment(`${process.name} ${what}`)
    await new Promise<void>((resolve) => process.deliver(resolve))
  }

  #publish(
    process: Process,
    relay: string,
    batch: TransportBatch,
    { timeoutMs, waitMs = timeoutMs, giveUp }: Sending & { timeoutMs: number },
  ): Promise<Outcome> {
    const request = this.#judge.publishing(process, relay, batch, timeoutMs)
    const over = new AbortController()
    return new Promise((resolve) => {
      const answer = (outcome: Outcome) =>
        process.deliver(() => {
          if (request.answered) return
          request.answered = true
          over.abort()
          if (outcome.kind !== 'unknown') request.open = false
          if (outcome.kind === 'acked') this.#judge.acked(process, batch)
          resolve(outcome)
        })
      const late = () => {
        if (!request.answered) answer({ kind: 'unknown', code: 'TIMEOUT', error: 'no answer in time' })
      }
      void process.clock.wait(waitMs, over.signal).then(late)
      giveUp?.addEventListener('abort', late, { once: true })
      void this.#take(process, batch, answer)
    })
  }

  async #take(process: Process, batch: TransportBatch, answer: (outcome: Outcome) => void): Promise<void> {
    await this.#world.moment(`${process.name} publishes`)
    const refusal = this.#refusal(batch)
    const fate = refusal ? 'refused' : (this.fates.shift() ?? 'acknowledged')
    const late = fate === 'appended late'
    const appends = fate === 'acknowledged' || fate === 'acknowledgement lost' || fate === 'silent and appended'
    const code = appends ? this.#append(process, batch) : undefined
    if (fate === 'silent' || fate === 'silent and appended') return
    await this.#world.moment(`${process.name} published`)
    if (refusal) {
      this.#tell(batch, refusal)
      answer(refusal)
    } else if (code) answer({ kind: 'unknown', code, error: 'other numbers are next' })
    else if (fate === 'acknowledged') answer({ kind: 'acked', baseOffset: 0n })
    else if (fate === 'acknowledgement lost' || fate === 'request lost' || late)
      answer({ kind: 'unknown', code: 'ECONNRESET', error: 'gone' })
    else answer({ kind: 'not-written', scope: fate as 'transient', code: 'NOT_NOW', error: 'not now' })
    if (!late) return
    while (this.holdsLate) await this.#world.moment(`${process.name} is late`)
    // What refused a copy since, and was taken away again before this one arrives, makes a duplicate (H2 in docs/concepts/exactly-once.md).
    if (!this.#judge.exactlyOnce || !batch.records.some(({ headers }) => this.wasPoison.has(headers.id!)))
      this.#append(process, batch)
  }

  /** Appends the batch, unless its numbers are those of one that is there; returns the code if they are not the next ones. */
  #append(process: Process, batch: TransportBatch): string | undefined {
    const { numbers, topic, partition } = batch
    if (numbers) {
      const { producerId, epoch, sequence } = numbers
      const name = `${producerId} ${topic} ${partition}`
      const known = this.#producers.get(name)
      if (known && epoch < known.epoch) return 'INVALID_PRODUCER_EPOCH'
      const batches = known?.epoch === epoch ? known.batches : []
      const last = sequence + batch.records.length - 1
      if (batches.some((one) => one.first === sequence && one.last === last)) return undefined
      const next = batches.length > 0 ? batches.at(-1)!.last + 1 : known ? 0 : sequence
      if (sequence !== next) return 'OUT_OF_ORDER_SEQUENCE_NUMBER'
      this.#producers.set(name, { epoch, batches: [...batches, { first: sequence, last }].slice(-rememberedBatches) })
    }
    this.#judge.appended(process, batch)
    return undefined
  }

  #refusal(batch: TransportBatch): (Outcome & { kind: 'not-written' }) | undefined {
    if (!this.up) return { kind: 'not-written', scope: 'producer', code: 'ECONNREFUSED', error: 'nobody is there' }
    if (this.missing.has(batch.topic))
      return { kind: 'not-written', scope: 'topic', code: 'UNKNOWN_TOPIC', error: 'there is none' }
    if (this.short.has(`${batch.topic}/${batch.partition}`))
      return { kind: 'not-written', scope: 'transient', code: 'NOT_ENOUGH_REPLICAS', error: 'too few' }
    const refused = batch.records.flatMap((record, i) => (this.poison.has(record.headers.id!) ? [i] : []))
    if (refused.length === 0) return undefined
    const named = this.names ? { refused } : {}
    return { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'refused', ...named }
  }

  /** A record counts as refused when it stood alone, or was named. */
  #tell(batch: TransportBatch, refusal: Outcome & { kind: 'not-written' }): void {
    if (refusal.scope !== 'record') return
    const alone = batch.records.length === 1 ? [0] : []
    for (const i of refusal.refused ?? alone) this.#judge.refused(batch.records[i]!.headers.id!)
  }
}
