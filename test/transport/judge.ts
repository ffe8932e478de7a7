import type { Outcome, Sending, Transport } from '../../src/transport/transport.ts'
import type { FakeKafka } from '../support/fake-broker.ts'
import type { FakePartition } from '../support/fake-partition.ts'
import { record } from './conformance.ts'

interface Attempt {
  /** Undefined: the topic has no such partition. */
  place: FakePartition | undefined
  values: string[]
  outcome: Outcome | undefined
}

/** Sends batches through a transport, remembers what it said about them, and compares that with the logs. */
export class Judge {
  readonly #kafka: FakeKafka
  readonly #transport: Transport
  readonly #attempts: Attempt[] = []
  readonly #partitions = new Map<string, FakePartition[]>()
  #atClose: number | undefined

  constructor(kafka: FakeKafka, transport: Transport) {
    this.#kafka = kafka
    this.#transport = transport
  }

  /** Creates a topic with a partition for each leader. */
  createTopic(topic: string, leaders: number[]): FakePartition[] {
    const partitions = this.#kafka.createTopic(topic, leaders)
    this.#partitions.set(topic, partitions)
    return partitions
  }

  /** Publishes values that no other attempt has: a comma separates the records. */
  async publish(
    topic: string,
    partition: number,
    values: string,
    { key = 'k' as string | null, within = 5_000, how = {} as Sending } = {},
  ): Promise<Outcome> {
    const list = values.split(',')
    const attempt: Attempt = { place: this.#partitions.get(topic)![partition], values: list, outcome: undefined }
    this.#attempts.push(attempt)
    const records = list.map((value) => record(key, value))
    attempt.outcome = await this.#transport.publish({ topic, partition, records }, within, how)
    return attempt.outcome
  }

  /** Publishes as the relay does, again and again until it is acknowledged; each attempt has a number of its own behind its values. */
  async insist(topic: string, partition: number, values: string, key: string | null = 'k'): Promise<void> {
    for (let attempt = 1; attempt <= 10; attempt++) {
      const numbered = values.split(',').map((value) => `${value}-${attempt}`)
      const outcome = await this.publish(topic, partition, numbered.join(), { key })
      if (outcome.kind === 'acked') return
      if ('waitMs' in outcome) await new Promise((resolve) => setTimeout(resolve, outcome.waitMs + 5))
    }
    throw new Error(`${values} was not acknowledged in ten attempts.`)
  }

  /** Closes the transport; from here on nothing may come into the logs. */
  async close(): Promise<void> {
    await this.#transport.close()
    this.#atClose = this.#all().length
  }

  /**
   * Closes the transport, lets everything that is on its way arrive, and returns each outcome that the logs contradict. Such an outcome is
   * acknowledged and not in the log, or at another place. Or it is "not written" and in the log, or in the log twice though sent once.
   */
  async breaches(): Promise<string[]> {
    await this.#transport.close()
    this.#kafka.thaw()
    await this.#kafka.abandoned()
    const late = this.#atClose === undefined ? 0 : this.#all().length - this.#atClose
    const published = late === 0 ? [] : [`${late} published after close`]
    return [...published, ...this.#attempts.flatMap((attempt) => this.#breachesOf(attempt))]
  }

  #all(): string[] {
    return [...this.#partitions.values()].flat().flatMap(texts)
  }

  #breachesOf({ place, values, outcome }: Attempt): string[] {
    const found: string[] = []
    const anywhere = this.#all()
    const log = place === undefined ? [] : texts(place)
    for (const [index, value] of values.entries()) {
      const copies = anywhere.filter((text) => text === value).length
      if (outcome === undefined) found.push(`${value}: no outcome`)
      if (outcome?.kind === 'acked') {
        if (copies === 0) found.push(`${value}: acknowledged, not in the log`)
        else if (log[Number(outcome.baseOffset) + index] !== value) found.push(`${value}: acknowledged, not where it was said`)
      }
      if (outcome?.kind === 'not-written' && copies > 0) found.push(`${value}: "not written", in the log`)
      if (copies > 1) found.push(`${value}: sent once, ${copies} times in the log`)
    }
    return found
  }
}

/** The values of a log as text. */
const texts = (place: FakePartition): string[] => place.log.map(({ value }) => String(value))
