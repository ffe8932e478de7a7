import type { Kafka } from 'kafkajs'
import type { Compressor } from '../protocol/compression.ts'
import { encodeProduce } from '../protocol/produce-request.ts'
import { type Quota, Quotas, Throttled } from '../quotas.ts'
import type { KafkajsBatch } from './batch.ts'
import { clusterMaker } from './cluster.ts'

/**
 * Bytes of keys and values up to which partitions share a request. What is large gains nothing by it, and a broker can work on one while
 * the next is made.
 */
const sharedBytes = 65_536

interface Partition {
  partition: number
  messages: KafkajsBatch
}

interface Produce {
  acks: number
  timeout: number
  topicData: { topic: string; partitions: Partition[] }[]
}

interface Answer {
  topics: { topicName: string; partitions: { partition: number; errorCode: number }[] }[]
  /** How long kafkajs holds back what it sends next to the broker: not the relay's deadlines. */
  clientSideThrottleTime?: number
}

/** An answer with what reads a part of it, and how long the broker reads nothing. */
interface WholeAnswer extends Answer {
  response: Response
  throttleMs: number
}

/** A request of kafkajs, and what it takes for an encoder. */
interface Request {
  encode(): Promise<{ buf: Buffer; buffer: Buffer }>
}

interface Response {
  decode(bytes: Buffer): Promise<Answer>
  parse(answer: Answer): Promise<Answer>
}

/** What is used of kafkajs' insides. */
interface Broker {
  nodeId: number
  produce(request: Produce): Promise<Answer>
  lookupRequest(...args: unknown[]): (request: Produce) => { request: Request; response: Response }
}

/** A send that waits for its request. */
interface Waiting {
  topic: string
  data: Partition
  resolve(answer: Answer): void
  reject(error: unknown): void
}

/**
 * Encodes the requests of kafkajs' producer, and lets its sends share them; each gets the answer to its own partition. One request takes the
 * sends of one turn of the event loop, the next those that come while it is under way. kafkajs' own `sendBatch` shares too, but tells only
 * the first refusal, and nothing of the partitions that were written.
 *
 * Each lane sends on its own; a request for nearly every record was more work, for the relay and the broker, than the records. A batch
 * that waits for a request under way loses nothing. A broker takes the next request of a connection after it has answered the one before
 * (`SocketServer` mutes it until then), so the batch would wait there.
 */
export class SharedRequests {
  readonly #brokers = new WeakMap<Broker, BrokerRequests>()
  readonly #quotas = new Quotas()
  /** Node of the broker to which the last batch of a partition went. */
  readonly #leaders = new Map<string, number>()
  readonly #compressor: Compressor | undefined

  constructor(compressor: Compressor | undefined) {
    this.#compressor = compressor
  }

  /** Throws {@link Throttled} while the broker of the partition, as far as it is known, reads nothing. */
  check(topic: string, partition: number): void {
    const node = this.#leaders.get(`${topic}/${partition}`)
    const leftMs = node === undefined ? 0 : this.#quotas.of(node).leftMs
    if (leftMs > 0) throw new Throttled(leftMs)
  }

  /** For all clusters that `kafka` makes from now on. */
  through(kafka: Kafka): void {
    const maker = clusterMaker<{ findBroker(by: object): Promise<Broker> }>(kafka)
    maker.replace((options) => {
      const cluster = maker.create(options)
      const find = cluster.findBroker.bind(cluster)
      cluster.findBroker = async (by) => this.#sharing(await find(by))
      return cluster
    })
  }

  #sharing(broker: Broker): Broker {
    if (this.#brokers.has(broker)) return broker
    const requests = new BrokerRequests(broker, this.#quotas.of(broker.nodeId), this.#compressor)
    this.#brokers.set(broker, requests)
    broker.produce = (request) => {
      for (const { topic, partitions } of request.topicData)
        for (const { partition } of partitions) this.#leaders.set(`${topic}/${partition}`, broker.nodeId)
      return requests.send(request)
    }
    return broker
  }
}

/** The produce requests of one broker. */
class BrokerRequests {
  readonly #asked: Broker
  readonly #quota: Quota
  #next: Waiting[] = []
  #timeout = 0
  #bytes = 0
  #underWay = 0

  constructor(broker: Broker, quota: Quota, compressor: Compressor | undefined) {
    this.#quota = quota
    this.#asked = Object.create(broker, {
      produce: { value: broker.produce },
      lookupRequest: { value: (...args: unknown[]) => encodedHere(broker.lookupRequest(...args), compressor) },
    })
  }

  /** A request of kafkajs' producer: one partition. */
  send(request: Produce): Promise<Answer> {
    const [{ topic, partitions }] = request.topicData as [Produce['topicData'][0]]
    const [data] = partitions as [Partition]
    return new Promise((resolve, reject) => {
      const waiting = { topic, data, resolve, reject }
      if (data.messages.alone || data.messages.bytes > sharedBytes) void this.#ask([waiting], request.timeout)
      else this.#join(waiting, request.timeout)
    })
  }

  #join(waiting: Waiting, timeout: number): void {
    const full = this.#bytes + waiting.data.messages.bytes > sharedBytes
    // Kafka takes one batch of a partition in a request.
    const there = this.#next.some((other) => nameOf(other) === nameOf(waiting))
    if (full || there || timeout !== this.#timeout) this.#flush()
    // The sends of a turn come one after the other, each some promises later, and so do those that an answer lets go on: all of them are
    // here when the turn has ended.
    if (this.#next.length === 0) this.#flushSoon()
    this.#timeout = timeout
    this.#bytes += waiting.data.messages.bytes
    this.#next.push(waiting)
  }

  #flushSoon(): void {
    setImmediate(() => {
      if (this.#underWay === 0) this.#flush()
    })
  }

  #flush(): void {
    const together = this.#next
    this.#next = []
    this.#bytes = 0
    if (together.length === 0) return
    this.#underWay++
    void this.#ask(together, this.#timeout).then(() => {
      this.#underWay--
      this.#flushSoon()
    })
  }

  async #ask(together: readonly Waiting[], timeout: number): Promise<void> {
    try {
      const { sent, answer } = await this.#produce(together, timeout)
      for (const waiting of sent) void this.#answer(waiting, answer)
    } catch (error) {
      for (const waiting of together) waiting.reject(error)
    }
  }

  /** One request, as soon as the broker's quota allows. What is too late by then is left out: it would take the others with it. */
  async #produce(together: readonly Waiting[], timeout: number): Promise<{ sent: readonly Waiting[]; answer: WholeAnswer }> {
    const fuses = together.map(({ data }) => data.messages.fuse)
    await this.#quota.enter(fuses)
    let throttleMs = 0
    try {
      const sent = together.filter(({ data }) => !data.messages.fuse.late)
      const topicData = (sent.length > 0 ? sent : together).map(({ topic, data }) => ({ topic, partitions: [data] }))
      const answer = (await this.#asked.produce({ acks: -1, timeout, topicData })) as WholeAnswer
      // What does not answer the request is not believed.
      if (answer.topics.length > 0) throttleMs = answer.throttleMs
      return { sent, answer }
    } finally {
      this.#quota.leave(fuses, throttleMs)
    }
  }

  async #answer(waiting: Waiting, answer: WholeAnswer): Promise<void> {
    try {
      waiting.resolve(await answer.response.parse({ ...answer, topics: partOf(waiting, answer) }))
    } catch (error) {
      waiting.reject(error)
    }
  }
}

/**
 * Requests that are encoded at once, and whose answers come as they are, with what reads them: kafkajs throws the first refusal of an answer
 * away with the rest of it, and here each send reads its own part.
 */
const encodedHere = (make: ReturnType<Broker['lookupRequest']>, compressor: Compressor | undefined) => (given: Produce) => {
  const { request, response } = make(given)
  const encode = async () => {
    const batches = given.topicData.flatMap(({ partitions }) => partitions.map(({ messages }) => messages.take()))
    const buffer = encodeProduce(batches, given.timeout, Date.now(), compressor)
    return { buf: buffer, buffer }
  }
  // Kafkajs would hold the next request back after it was encoded, while its deadline runs. The quota is obeyed before that.
  const decode = async (bytes: Buffer) => {
    const answer = await response.decode(bytes)
    return { ...answer, throttleMs: answer.clientSideThrottleTime ?? 0, clientSideThrottleTime: 0 }
  }
  const parse = async (answer: Answer) => ({ ...answer, response })
  return { request: { ...request, encode }, response: { decode, parse } }
}

const nameOf = ({ topic, data }: Waiting): string => `${topic}/${data.partition}`

/** Throws where the answer does not name the partition: kafkajs would take that for a partition that it does not know. */
function partOf({ topic, data }: Waiting, { topics }: Answer): Answer['topics'] {
  const [named] = topics.filter(({ topicName }) => topicName === topic)
  const found = named?.partitions.find(({ partition }) => partition === data.partition)
  if (!found) throw Object.assign(new Error('The answer does not name the partition.'), { code: 'WRONG_ACKNOWLEDGEMENT' })
  return [{ topicName: topic, partitions: [found] }]
}
