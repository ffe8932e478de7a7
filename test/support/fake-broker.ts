import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import {
  type ApiName,
  answerApiVersions,
  answerInitProducerId,
  answerMetadata,
  answerProduce,
  apis,
  readMetadata,
  readProduce,
} from './fake-answers.ts'
import { FakePartition } from './fake-partition.ts'
import { readBatch, WireReader } from './kafka-wire.ts'

/** An answer, or that none comes: `lost` closes the connection, `never` leaves it hanging. */
type Reply = Buffer | 'lost' | 'never'

/**
 * Kafka brokers that fail when a test wants them to: plain TCP servers that speak as much of the protocol as producers need, keep a real
 * log for each partition, and treat each batch as its partition's {@link FakePartition.next} says. Node ids count from 1.
 */
export class FakeKafka {
  /** Addresses, each as `host:port`. */
  readonly brokers: string[] = []
  /** Names of the APIs that were asked for, in order. */
  readonly requests: ApiName[] = []
  readonly #servers: Server[]
  readonly #ports: number[] = []
  readonly #topics = new Map<string, FakePartition[]>()
  readonly #topicErrors = new Map<string, number>()
  readonly #sockets = new Set<Socket>()
  readonly #work = new Set<Promise<void>>()
  readonly #lookers = new Set<() => void>()
  readonly #forged = new Map<ApiName, (socket: Socket, correlation: Buffer) => void>()
  #frozen = false
  #producerIds = 0n

  private constructor(brokers: number) {
    this.#servers = Array.from({ length: brokers }, (_, index) => createServer((socket) => this.#accept(socket, index + 1)))
  }

  /** Starts so many brokers. */
  static async start(brokers = 2): Promise<FakeKafka> {
    const kafka = new FakeKafka(brokers)
    for (const server of kafka.#servers) {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      kafka.#ports.push((server.address() as AddressInfo).port)
    }
    kafka.brokers.push(...kafka.#ports.map((port) => `127.0.0.1:${port}`))
    return kafka
  }

  /** Creates a topic, or sets its partitions again: one for each leader. */
  createTopic(topic: string, leaders: readonly number[]): FakePartition[] {
    const partitions = leaders.map((leader) => new FakePartition(leader))
    this.#topics.set(topic, partitions)
    return partitions
  }

  /** Adds a partition. */
  growTopic(topic: string, leader: number): FakePartition {
    const added = new FakePartition(leader)
    this.#topics.get(topic)!.push(added)
    return added
  }

  deleteTopic(topic: string): void {
    this.#topics.delete(topic)
  }

  /** What metadata answers say about the topic from now on, as an error code. */
  blameTopic(topic: string, error: number): void {
    this.#topicErrors.set(topic, error)
  }

  /** From now on requests of that API are answered by `write` alone: with anything, after the four bytes of the request's correlation id. */
  forge(api: ApiName, write: (socket: Socket, correlation: Buffer) => void): void {
    this.#forged.set(api, write)
  }

  /** Ends {@link forge}. */
  behave(): void {
    this.#forged.clear()
  }

  /** Nobody reads what clients send, as with SIGSTOP: it stays in the sockets. */
  freeze(): void {
    this.#frozen = true
    for (const socket of this.#sockets) socket.pause()
  }

  /** Ends {@link freeze}: what was sent meanwhile is treated now. */
  thaw(): void {
    this.#frozen = false
    for (const socket of this.#sockets) socket.resume()
  }

  /** Resolves when so many requests of that API have come in. */
  asked(api: ApiName, count = 1): Promise<void> {
    return this.#until(() => this.requests.filter((name) => name === api).length >= count)
  }

  /** Resolves when every client has closed its connections, and all that they sent has been treated. */
  async abandoned(): Promise<void> {
    await this.#until(() => this.#sockets.size === 0)
    await Promise.all(this.#work)
  }

  async stop(): Promise<void> {
    for (const server of this.#servers) server.close()
    for (const socket of this.#sockets) socket.destroy()
    await this.abandoned()
  }

  #accept(socket: Socket, node: number): void {
    this.#sockets.add(socket)
    let buffered = Buffer.alloc(0)
    // One request at a time for each connection, as a broker does.
    let before: Promise<void> = Promise.resolve()
    socket.on('data', (chunk) => {
      buffered = Buffer.concat([buffered, chunk])
      while (buffered.length >= 4 && buffered.length >= 4 + buffered.readInt32BE(0)) {
        const end = 4 + buffered.readInt32BE(0)
        const request = buffered.subarray(4, end)
        buffered = buffered.subarray(end)
        const work = before.then(() => this.#serve(socket, node, request))
        before = work
        this.#work.add(work)
        void work.finally(() => this.#work.delete(work))
      }
    })
    socket.on('error', () => {})
    socket.once('close', () => {
      this.#sockets.delete(socket)
      this.#look()
    })
    if (this.#frozen) socket.pause()
  }

  async #serve(socket: Socket, node: number, request: Buffer): Promise<void> {
    // It waited behind one that is never answered, until the client gave up.
    if (socket.destroyed) return
    const reader = new WireReader(request)
    const [key, version, correlation] = [reader.int16(), reader.int16(), reader.int32()]
    const name = (Object.keys(apis) as ApiName[]).find((api) => apis[api].key === key)
    if (name === undefined) return void socket.destroy()
    reader.string()
    reader.flexible = version >= apis[name].flexible
    reader.tags()
    this.requests.push(name)
    this.#look()
    const forged = this.#forged.get(name)
    if (forged) return forged(socket, request.subarray(4, 8))
    const reply = await this.#reply(name, version, reader, node)
    if (reply === 'lost') return void socket.destroy()
    if (reply === 'never') return socket.closed ? undefined : void (await once(socket, 'close'))
    const header = Buffer.alloc(reader.flexible && name !== 'ApiVersions' ? 9 : 8)
    header.writeInt32BE(header.length - 4 + reply.length)
    header.writeInt32BE(correlation, 4)
    socket.write(Buffer.concat([header, reply]))
  }

  async #reply(name: ApiName, version: number, reader: WireReader, node: number): Promise<Reply> {
    if (name === 'ApiVersions') return answerApiVersions(version)
    if (name === 'InitProducerId') return answerInitProducerId(version, this.#producerIds++)
    if (name === 'Metadata') return this.#metadata(version, reader)
    return this.#produce(version, reader, node)
  }

  #metadata(version: number, reader: WireReader): Buffer {
    const names = readMetadata(version, reader) ?? [...this.#topics.keys()]
    const topics = names.map((name) => {
      const partitions = this.#topics.get(name) ?? []
      // UNKNOWN_TOPIC_OR_PARTITION
      const error = this.#topicErrors.get(name) ?? (partitions.length === 0 ? 3 : 0)
      return { name, error, partitions: error === 0 ? partitions : [] }
    })
    return answerMetadata(version, this.#ports, topics)
  }

  async #produce(version: number, reader: WireReader, node: number): Promise<Reply> {
    const answers = []
    let reply: 'answer' | 'lost' | 'never' = 'answer'
    let throttleMs = 0
    for (const { topic, partition, bytes } of readProduce(reader)) {
      const place = this.#topics.get(topic)?.[partition]
      const turn = place?.takeTurn() ?? {}
      await turn.after
      const taken = place?.take(node, readBatch(bytes), bytes.length, turn) ?? { error: 3, baseOffset: -1n }
      turn.afterwards?.()
      if (turn.reply !== undefined && turn.reply !== 'answer') reply = turn.reply
      throttleMs = Math.max(throttleMs, turn.throttleMs ?? 0)
      if (!turn.unnamed) answers.push({ topic, partition, ...taken, recordErrors: turn.recordErrors ?? [] })
    }
    return reply === 'answer' ? answerProduce(version, answers, throttleMs) : reply
  }

  #until(there: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!there()) return
        this.#lookers.delete(look)
        resolve()
      }
      this.#lookers.add(look)
      look()
    })
  }

  #look(): void {
    for (const look of this.#lookers) look()
  }
}
