import { topic } from '../examples/orders/events.ts'
import { Sales } from '../examples/orders/sales.ts'
import { connectShop } from '../examples/orders/shop.ts'
import type { KafkaServer } from '../test/support/kafka.ts'
import { freePort } from '../test/support/ports.ts'
import type { Closing } from './closing.ts'
import { Customers, inventory } from './customers.ts'
import type { Places } from './effects.ts'
import { FigureReader } from './figures.ts'
import type { Ground } from './ground.ts'
import type { Program } from './program.ts'
import { relayProgram } from './relay.ts'
import { type Addresses, type Consumers, openShipping, serveShop, startConsumers } from './services.ts'

type Parts = Pick<Scene, 'customers' | 'consumers' | 'relay' | 'figures' | 'addresses' | 'places'>

/** The whole shop at work: services, customers, relay, and somebody who counts. */
export class Scene {
  /** The broker runs. */
  kafkaRuns = true
  /** Something was killed or stopped: copies are no error any more. */
  disturbed = false
  readonly customers: Customers
  readonly consumers: Consumers
  readonly relay: Program
  readonly figures: FigureReader
  readonly addresses: Addresses & { dashboard: string }
  readonly places: Places
  readonly #kafka: KafkaServer | undefined
  #switching = false

  private constructor(parts: Parts, kafka: KafkaServer | undefined) {
    this.customers = parts.customers
    this.consumers = parts.consumers
    this.relay = parts.relay
    this.figures = parts.figures
    this.addresses = parts.addresses
    this.places = parts.places
    this.#kafka = kafka
  }

  static async open(
    ground: Ground,
    { rate, leaseMs }: { rate: number; leaseMs: number | undefined },
    closing: Closing,
  ): Promise<Scene> {
    const databaseUrl = await ground.createDatabase('shop')
    await ground.createTopic(topic)
    const shop = connectShop(databaseUrl)
    closing.add(() => shop.$disconnect())
    await shop.inventory.createMany({ data: inventory })

    // The same port after each kill: anyone who looks at the dashboard need not search for it.
    const port = await freePort()
    const relay = relayProgram(databaseUrl, ground.brokers, leaseMs, port)
    closing.add(() => relay.close())
    await relay.start()

    const figures = await FigureReader.open(databaseUrl, ground.kafka, topic)
    closing.add(() => figures.close())

    const shipping = await openShipping(ground, closing)
    const consumers = await startConsumers({ databaseUrl, shipping }, ground, closing)
    const sales = new Sales()
    const served = await serveShop(shop, sales, ground, closing)
    const customers = new Customers([served.before, served.shop], rate)
    closing.add(() => customers.stop())
    const addresses = { ...served, dashboard: `http://127.0.0.1:${port}/` }
    const places = { shop, shipping, sales }
    return new Scene({ customers, consumers, relay, figures, addresses, places }, ground.server)
  }

  /** The relay, as something that is killed: anyone who does so spoils the count of copies. */
  readonly mortalRelay = {
    kill: (): Promise<void> => {
      this.disturbed = true
      return this.relay.kill()
    },
    start: (): Promise<void> => this.relay.start(),
  }

  /** Kills the relay, or starts it again. */
  toggleRelay(): Promise<void> {
    return this.#switch(() => (this.relay.running ? this.mortalRelay.kill() : this.relay.start()))
  }

  /** Stops Kafka, or starts it again. */
  toggleKafka(): Promise<void> {
    return this.#switch(async () => {
      if (!this.#kafka) return
      this.disturbed = true
      await (this.kafkaRuns ? this.#kafka.stop() : this.#kafka.start())
      this.kafkaRuns = !this.kafkaRuns
    })
  }

  /** Everything runs again that was stopped. */
  async restore(): Promise<void> {
    if (!this.kafkaRuns) await this.toggleKafka()
    if (!this.relay.running) await this.toggleRelay()
  }

  /** One switch at a time: a key that is pressed twice must not start two brokers. */
  async #switch(action: () => Promise<void>): Promise<void> {
    if (this.#switching) return
    this.#switching = true
    try {
      await action()
    } finally {
      this.#switching = false
    }
  }
}
