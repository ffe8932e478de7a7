import type { Kafka } from 'kafkajs'
import { metadataMaxAgeMs } from '../transport.ts'
import { clusterMaker } from './cluster.ts'

// Kafka's ids of topics (KIP-516): a topic that is deleted and created again keeps its name and gets another id. kafkajs 2.2.4 reads the
// metadata of Kafka 2.1, which has none, so one request is encoded here and sent through kafkajs' connection. Used by projections.

/** Metadata, in the first version whose answer has the id (https://kafka.apache.org/41/design/protocol/#The_Messages_Metadata). */
const metadata = { apiKey: 3, apiName: 'Metadata', apiVersion: 10 }

/** Bytes of an id. A topic without one has zeros. */
const idBytes = 16

/** What is used of kafkajs' insides. */
interface Cluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  /** Loads what is known of the topic and of all brokers, once. Without a topic kafkajs would load all there are. */
  addTargetTopic(topic: string): Promise<void>
  /** Tries one broker after the other; null if each of them failed. */
  brokerPool: { withBroker<T>(ask: (with_: { broker: Broker }) => Promise<T>): Promise<T | null> }
}

interface Broker {
  versions: Record<number, { maxVersion: number } | undefined>
  lookupRequest(...args: unknown[]): () => object
  metadata(topics: string[]): Promise<unknown>
}

/** Asks brokers for the ids of topics, over a connection that it keeps. */
export class TopicIds {
  readonly #cluster: Cluster | undefined

  constructor(kafka: Kafka) {
    this.#cluster = clusterOf(kafka)
  }

  /**
   * The id, as Kafka's own tools write it; null if the brokers have no ids (before 2.8), or kafkajs is another version than 2.2.4. Rejects
   * for a topic that does not exist, or may not be described, and if no broker answers.
   */
  async of(topic: string): Promise<string | null> {
    if (!this.#cluster) return null
    await this.#cluster.connect()
    await this.#cluster.addTargetTopic(topic)
    let failure: unknown = new Error('No broker answered.')
    const answer = await this.#cluster.brokerPool.withBroker(async ({ broker }) => {
      try {
        return await ask(broker, topic)
      } catch (error) {
        failure = error
        throw error
      }
    })
    if (!answer) throw failure
    if (answer.errorCode !== 0)
      throw Object.assign(new Error(`Kafka refuses the topic: error ${answer.errorCode}.`), { code: 'TOPIC' })
    return answer.id
  }

  /** Closes the connection. Never rejects. */
  async close(): Promise<void> {
    await this.#cluster?.disconnect().catch(() => {})
  }
}

function clusterOf(kafka: Kafka): Cluster | undefined {
  try {
    return clusterMaker<Cluster>(kafka).create({ metadataMaxAge: metadataMaxAgeMs, allowAutoTopicCreation: false })
  } catch {
    return undefined
  }
}

interface Answer {
  errorCode: number
  id: string | null
}

async function ask(broker: Broker, topic: string): Promise<Answer> {
  if ((broker.versions[metadata.apiKey]?.maxVersion ?? 0) < metadata.apiVersion) return { errorCode: 0, id: null }
  const encode = async () => {
    const buffer = encodeRequest(topic)
    // kafkajs tells its encoders from others by both.
    return { buf: buffer, buffer }
  }
  const decode = async (bytes: Buffer) => readAnswer(bytes)
  const parse = async (answer: Answer) => answer
  const exchange = { request: { ...metadata, encode }, response: { decode, parse } }
  const asked: Broker = Object.create(broker, { lookupRequest: { value: () => () => exchange } })
  return (await asked.metadata([topic])) as Answer
}

/** A request for one topic, from the tagged fields that end its header. */
function encodeRequest(topic: string): Buffer {
  const name = Buffer.from(topic)
  const [none, one, no] = [0, 2, 0]
  // Lengths are one more than they are. A name has 249 bytes at most: the length takes two.
  const length = [((name.length + 1) & 0x7f) | 0x80, (name.length + 1) >> 7]
  // Header's tags; one topic: no id, its name, tags; create it, tell the cluster's rights, tell the topic's rights; tags.
  return Buffer.concat([
    Buffer.from([none, one]),
    Buffer.alloc(idBytes),
    Buffer.from(length),
    name,
    Buffer.from([none, no, no, no, none]),
  ])
}

/** Reads the answer up to the id of its first topic. */
function readAnswer(bytes: Buffer): Answer {
  let at = 0
  const skip = (count: number) => {
    at += count
  }
  const varint = () => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes.readUInt8(at++)
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  const skipString = () => skip(Math.max(0, varint() - 1))
  const skipTags = () => {
    for (let left = varint(); left > 0; left--) {
      varint()
      skip(varint())
    }
  }
  skipTags()
  // Throttle time.
  skip(4)
  for (let left = varint() - 1; left > 0; left--) {
    // A broker: node, host, port, rack.
    skip(4)
    skipString()
    skip(4)
    skipString()
    skipTags()
  }
  // Cluster, controller, number of topics.
  skipString()
  skip(4)
  varint()
  const errorCode = bytes.readInt16BE(at)
  skip(2)
  skipString()
  const id = bytes.subarray(at, at + idBytes)
  if (id.length < idBytes) throw new RangeError('The answer ends too early.')
  return { errorCode, id: id.every((byte) => byte === 0) ? null : id.toString('base64url') }
}
