import { isIP, type Socket } from 'node:net'
import type { Producer, ProducerOptions } from '@platformatic/kafka'
import type { Access } from '../access.ts'
import { tellAdvertised } from '../advertised.ts'
import { addressOf, hostAndPort } from '../brokers.ts'
import { guarded } from '../guarded-socket.ts'
import { KafkaClient } from '../kafka-client.ts'
import type { Compressor } from '../protocol/compression.ts'
import { refusalOf, type TokenLogin } from '../token-login.ts'
import { TransportError } from '../transport.ts'
import { loadPackage } from './package.ts'
import { type Produce, produceWith } from './produce.ts'
import { type NewProducerId, producerIdsWith } from './producer-id.ts'
import { type ClusterIdOf, type CountPartitions, questionsWith } from './topics.ts'

/** A producer of bytes. */
export type BytesProducer = Producer<Buffer, Buffer, Buffer, Buffer>

/** What a {@link PlatformaticClient} connects with. */
export interface ClientSettings extends Access {
  brokers: string[]
  clientId: string
  connectionTimeoutMs: number
  compressor: Compressor | undefined
}

/** Longer than any deadline of ours, which closes the sockets: a request that the client gives up stays in its way (ms). */
const noTimeoutMs = 2_000_000_000

/** The client asks for nothing twice, and holds nothing back in queues of its own. */
const plain = {
  retries: 0,
  autocreateTopics: false,
  requestTimeout: noTimeoutMs,
  // A request that waits in the client could be sent after its deadline.
  maxInflights: Number.MAX_SAFE_INTEGER,
} as const

/** A connection that is being made, of the client's event. */
interface Connecting {
  broker: { host: string; port: number }
  connection: { socket?: Socket }
}

/** One producer of @platformatic/kafka. */
export class PlatformaticClient extends KafkaClient {
  /** Rejects when the client has been thrown away before the package was loaded. */
  readonly producer: Promise<BytesProducer>
  /** There when {@link producer} has resolved. */
  produce!: Produce
  /** There when {@link producer} has resolved. */
  countPartitions!: CountPartitions
  /** There when {@link producer} has resolved. */
  clusterId!: ClusterIdOf
  /** There when {@link producer} has resolved. */
  newProducerId!: NewProducerId
  /** Topics whose metadata must be read again. */
  readonly stale = new Set<string>()
  #opened: BytesProducer | undefined

  constructor(settings: ClientSettings, alive: Set<KafkaClient>) {
    super(alive)
    this.producer = this.#open(settings)
    this.producer.catch(() => {})
  }

  protected override closeSockets(): void {
    const producer = this.#opened
    if (!producer) return
    const connections = [...producer.connections].map(([, connection]) => connection)
    // It would wait for what is still to be written; it also keeps the client from opening new connections.
    producer.close().catch(() => {})
    for (const { socket } of connections) socket?.destroy()
  }

  async #open(settings: ClientSettings): Promise<BytesProducer> {
    const loaded = await loadPackage()
    if (this.destroyed) throw new TransportError('CLOSED', 'producer', 'The transport is closed.')
    this.produce = produceWith(loaded, settings.compressor)
    Object.assign(this, questionsWith(loaded))
    this.newProducerId = producerIdsWith(loaded)
    this.#opened = new loaded.Producer<Buffer, Buffer, Buffer, Buffer>(producerOptions(settings))
    // The socket is there when the events of this turn are over, and read from only after a connection.
    this.#opened.connections.on('connecting', ({ broker, connection }: Connecting) => {
      const address = addressOf(broker.host, broker.port)
      process.nextTick(() => {
        if (!connection.socket) return
        guarded(connection.socket)
        if (!settings.brokers.includes(address)) tellAdvertised(connection.socket, address, settings.connectionTimeoutMs)
      })
    })
    return this.#opened
  }
}

function producerOptions(settings: ClientSettings): ProducerOptions<Buffer, Buffer, Buffer, Buffer> {
  const { brokers, clientId, ssl, sasl, connectionTimeoutMs } = settings
  const tls = ssl === true ? {} : ssl
  // Node refuses an IP address as the name that TLS asks for.
  const named = !(tls || undefined)?.servername && brokers.every((broker) => isIP(hostAndPort(broker).host) === 0)
  return {
    ...plain,
    bootstrapBrokers: brokers.map(hostAndPort),
    clientId,
    connectTimeout: connectionTimeoutMs,
    ...(tls ? { tls, tlsServerName: named } : {}),
    ...(sasl ? { sasl: loginOf(sasl) } : {}),
  }
}

type Login = NonNullable<ProducerOptions<Buffer, Buffer, Buffer, Buffer>['sasl']>

/** A login of kafkajs' shape in that of this client, which asks for a token and then for its extensions. */
function loginOf(sasl: NonNullable<Access['sasl']>): Login {
  if (!('oauthBearerProvider' in sasl)) return { ...sasl, mechanism: sasl.mechanism.toUpperCase() } as Login
  let extensions: Record<string, string> = {}
  const token = async () => {
    const { value, extensions: own = {} } = await (sasl as TokenLogin).oauthBearerProvider()
    extensions = own
    return value
  }
  return {
    mechanism: 'OAUTHBEARER',
    token,
    oauthBearerExtensions: () => extensions,
    authBytesValidator: (answer, done) => done(refusalOf(answer) ?? null, answer),
  }
}
