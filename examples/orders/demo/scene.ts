import type { AddressInfo } from 'node:net'
import type { KafkaServer } from '../../../test/support/kafka.ts'
import { createApi } from '../api.ts'
import { type Confirmation, startMail } from '../mail.ts'
import { connectShop, orderPlaced } from '../shop.ts'
import type { Closing } from './closing.ts'
import { Customers, inventory } from './customers.ts'
import { FigureReader } from './figures.ts'
import type { Ground } from './ground.ts'
import type { Program } from './program.ts'
import { relayProgram } from './relay.ts'

/** Counts of the mail service, which can be waited for. */
export class Mailbox {
  consumed = 0
  duplicates = 0
  last: Confirmation | undefined
  #look = () => {}

  readonly send = (confirmation: Confirmation): void => {
    this.last = confirmation
  }

  readonly onRecord = ({ duplicate }: { duplicate: boolean }): void => {
    this.consumed++
    if (duplicate) this.duplicates++
    this.#look()
  }

  /** Resolves with true when so many messages have been consumed, each counted once; with false after `timeoutMs`. */
  reached(messages: number, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs)
      this.#look = () => {
        if (this.consumed - this.duplicates < messages) return
        clearTimeout(timer)
        resolve(true)
      }
      this.#look()
    })
  }
}

/** The whole shop at work: API, customers, relay, mail service, and somebody who counts. */
export class Scene {
  /** The broker runs. */
  kafkaRuns = true
  /** Something was killed or stopped: copies are no error any more. */
  disturbed = false
  readonly customers: Customers
  readonly mailbox: Mailbox
  readonly relay: Program
  readonly figures: FigureReader
  readonly #kafka: KafkaServer | undefined
  #switching = false

  private constructor(parts: Pick<Scene, 'customers' | 'mailbox' | 'relay' | 'figures'>, kafka: KafkaServer | undefined) {
    this.customers = parts.customers
    this.mailbox = parts.mailbox
    this.relay = parts.relay
    this.figures = parts.figures
    this.#kafka = kafka
  }

  static async open(
    ground: Ground,
    { rate, leaseMs }: { rate: number; leaseMs: number | undefined },
    closing: Closing,
  ): Promise<Scene> {
    const databaseUrl = await ground.createDatabase('shop')
    await ground.createTopic(orderPlaced)
    const shop = connectShop(databaseUrl)
    closing.add(() => shop.$disconnect())
    await shop.inventory.createMany({ data: inventory })

    const mailbox = new Mailbox()
    const mail = await startMail({ kafka: ground.kafka, topic: orderPlaced, ...mailbox })
    closing.add(() => mail.disconnect())

    const relay = relayProgram(databaseUrl, ground.brokers, leaseMs)
    closing.add(() => relay.close())
    await relay.start()

    const figures = await FigureReader.open(databaseUrl, ground.kafka, orderPlaced)
    closing.add(() => figures.close())

    const api = createApi(shop).listen(0, '127.0.0.1')
    await new Promise((resolve) => api.once('listening', resolve))
    closing.add(() => api.close().closeAllConnections())
    const customers = new Customers(`http://127.0.0.1:${(api.address() as AddressInfo).port}`, rate)
    closing.add(() => customers.stop())
    return new Scene({ customers, mailbox, relay, figures }, ground.server)
  }

  /** The relay, as something that is killed: whoever does so spoils the count of copies. */
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
