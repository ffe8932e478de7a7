import { Kafka, type KafkaJSProtocolError, logLevel, type Producer, type RecordMetadata } from 'kafkajs'
import type { Outcome, Transport, TransportBatch } from '../../src/transport/transport.ts'

/** How careless a {@link carelessTransport} is. */
export interface Carelessness {
  /** Retries of kafkajs inside a send. */
  retries: number
  /** The idempotent producer of kafkajs, kept after failures. @default false */
  idempotent?: boolean
}

interface Waiting {
  batch: TransportBatch
  resolve: (outcome: Outcome) => void
}

/**
 * kafkajs as its documentation suggests it, against everything that our transports must do. Records published at once go into one
 * `sendBatch`. kafkajs retries on its own and chooses the partition of records without a key. Each resolved promise counts as
 * acknowledged, and every error of a broker as "not written".
 */
export function carelessTransport(brokers: string[], { retries, idempotent = false }: Carelessness): Transport {
  const retry = { retries, initialRetryTime: 20, maxRetryTime: 100 }
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, requestTimeout: 500, retry })
  return new Careless(kafka.producer({ idempotent, retry, allowAutoTopicCreation: false }))
}

class Careless implements Transport {
  readonly name = 'careless'
  readonly #producer: Producer
  readonly #ready: Promise<void>
  #waiting: Waiting[] = []

  constructor(producer: Producer) {
    this.#producer = producer
    this.#ready = producer.connect()
  }

  connect = () => this.#ready
  partitions = () => Promise.reject(new Error('not asked'))
  allPartitions = () => Promise.reject(new Error('not asked'))
  close = () => this.#producer.disconnect()

  publish(batch: TransportBatch): Promise<Outcome> {
    return new Promise((resolve) => {
      if (this.#waiting.push({ batch, resolve }) === 1) setImmediate(() => void this.#flush())
    })
  }

  async #flush(): Promise<void> {
    const sent = this.#waiting
    this.#waiting = []
    try {
      await this.#ready
      const topicMessages = sent.map(({ batch }) => ({ topic: batch.topic, messages: toMessages(batch) }))
      const answers = await this.#producer.sendBatch({ topicMessages })
      for (const { batch, resolve } of sent) resolve(acknowledged(batch, answers))
    } catch (error) {
      for (const { resolve } of sent) resolve(refused(error as Error))
    }
  }
}

const toMessages = ({ partition, records }: TransportBatch) =>
  records.map(({ key, value, headers }) => ({
    // Not careless, only fair: kafkajs would write any other Uint8Array as text.
    key: key && Buffer.from(key),
    value: value && Buffer.from(value),
    headers,
    ...(key === null ? {} : { partition }),
  }))

function acknowledged({ topic, partition }: TransportBatch, answers: RecordMetadata[]): Outcome {
  const answer = answers.find((one) => one.topicName === topic && one.partition === partition)
  return { kind: 'acked', baseOffset: BigInt(answer?.baseOffset ?? 0) }
}

function refused(error: Error): Outcome {
  const cause = error.cause instanceof Error ? error.cause : error
  const [code, words] = [cause.name, cause.message]
  if (cause.name !== 'KafkaJSProtocolError') return { kind: 'unknown', code, error: words }
  return { kind: 'not-written', scope: 'record', code: (cause as KafkaJSProtocolError).type, error: words }
}
