import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Admin, type ISocketFactoryArgs, Kafka, type KafkaConfig, logLevel, type Producer } from 'kafkajs'
import { guarded } from '../guarded-socket.ts'
import { KafkaClient } from '../kafka-client.ts'

/** Interval of TCP keep-alive probes, as in kafkajs' own socket factory, in ms. */
const keepAliveMs = 60_000

/**
 * One producer or admin of kafkajs together with the sockets that it opened. kafkajs' own `disconnect` waits for hung requests, and its
 * sends go on afterwards (tulios/kafkajs#1438); closing the sockets, and refusing new ones, is what ends it.
 */
export class KafkajsClient<C extends Producer | Admin> extends KafkaClient {
  readonly client: C
  /** Settles when the first broker has answered. */
  readonly ready: Promise<void>
  readonly #sockets = new Set<Socket>()

  /** Connects at once. */
  constructor(config: KafkaConfig, open: (kafka: Kafka) => C, alive: Set<KafkaClient>) {
    super(alive)
    const kafka = new Kafka({
      ...config,
      // kafkajs prints a line for every error, also for those that are handled.
      logLevel: logLevel.NOTHING,
      logCreator: () => () => {},
      socketFactory: (args) => this.#socket(args),
    })
    this.client = open(kafka)
    this.ready = this.client.connect()
    this.ready.catch(() => {})
  }

  protected override closeSockets(): void {
    // With an error, because kafkajs listens to 'error' and 'end' only: it would keep its timers.
    for (const socket of this.#sockets) socket.destroy(new Error('thrown away'))
  }

  #socket({ host, port, ssl, onConnect }: ISocketFactoryArgs): Socket {
    if (this.destroyed) throw new Error('thrown away')
    const server = isIP(host) ? {} : { servername: host }
    const socket = ssl ? connectTls({ host, port, ...server, ...ssl }, onConnect) : connect({ host, port }, onConnect)
    // Nagle's algorithm would hold the end of a request back until the last acknowledgement.
    socket.setNoDelay(true)
    socket.setKeepAlive(true, keepAliveMs)
    this.#sockets.add(socket)
    socket.once('close', () => this.#sockets.delete(socket))
    return guarded(socket)
  }
}
