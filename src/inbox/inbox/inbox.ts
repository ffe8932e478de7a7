import type { Consumer, ConsumerConfig, EachBatchPayload } from 'kafkajs'
import type { Catalog } from '../../events/catalog.ts'
import { isOutboxError, OutboxError } from '../../message/errors.ts'
import type { TableSet } from '../../message/tables.ts'
import { systemClock } from '../../running/clock.ts'
import { consoleLines } from '../../running/console-lines.ts'
import { Emitter, type Listenable } from '../../running/emitter.ts'
import { guardConsumer } from '../../transport/kafkajs/guarded-kafka.ts'
import { inboxLines } from '../event-lines.ts'
import { codeOf, explainInbox } from '../failure.ts'
import { topicsOf } from '../handlers.ts'
import { type InboxStatements, inboxStatements } from '../statements.ts'
import { inboxSet } from '../table-set.ts'
import type { InboxEvents } from '../telemetry.ts'
import { consumerDefaults, runWatched } from '../watched-consumer.ts'
import { Applier } from './applier.ts'
import { type InboxOptions, type ResolvedInbox, resolveInbox } from './options.ts'
import { Reader } from './reader.ts'
import { Redriver } from './redriver.ts'
import { keepUp } from './upkeep.ts'

/** How to run a consumer. */
export interface RunOptions {
  /** Where a group without offsets begins: with the oldest record, or with the next. @default true */
  fromBeginning?: boolean | undefined
  /** Partitions that are worked on at the same time; each takes a connection of Prisma's pool. @default 1 */
  partitionsConsumedConcurrently?: number | undefined
}

/** A consumer that applies each message once. `createInbox` makes it; it runs from `run` to `stop`, once. */
export interface Inbox extends Listenable<InboxEvents>, AsyncDisposable {
  /** Topics of the events that have a handler. */
  readonly topics: readonly string[]
  /** For a wiring of your own: give it to `consumer.run` with `eachBatchAutoResolve: false`. Nothing prunes or redrives then. */
  readonly eachBatch: (payload: EachBatchPayload) => Promise<void>
  /**
   * Settings for `kafka.consumer()`: the group is called as the consumer unless it is named, the session fits the watchdog, and a fetch
   * waits half a second at most, since a paused partition comes back only with the next one. Fetches are smaller than by default: what a
   * slow handler does not get to in its turn is fetched again. No topic is created, and partitions that are added to one are found within half
   * a minute.
   */
  consumerConfig(config?: Partial<ConsumerConfig>): ConsumerConfig
  /**
   * Consumes until `stop()`, and carries out redrives and prunings meanwhile. Waits for database and Kafka. Let the process end if it rejects.
   *
   * @throws OutboxError CONSUMER_ENDED when kafkajs gives up, RECORDS_UNREADABLE for records that no other try would read, TABLES_MISSING
   *   or MISSING_RIGHTS when the inbox cannot be used.
   */
  run(consumer: Consumer, options?: RunOptions): Promise<void>
  /** Finishes the transaction under way, commits the offsets and leaves the group; then `run` resolves. Never rejects. */
  stop(): Promise<void>
  /** Stops the inbox: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Runs a {@link Reader} on a consumer of kafkajs, with a {@link Redriver} beside it, until it is stopped. */
class InboxEngine implements Inbox {
  readonly on: Inbox['on']
  readonly topics: readonly string[]
  readonly #telemetry = new Emitter<InboxEvents>(consoleLines(inboxLines))
  readonly #options: ResolvedInbox
  readonly #set: TableSet
  readonly #statements: InboxStatements
  readonly #reader: Reader
  readonly #redriver: Redriver
  readonly #end = new AbortController()
  #running: Promise<void> | undefined

  constructor(options: ResolvedInbox) {
    this.#options = options
    this.on = this.#telemetry.on.bind(this.#telemetry)
    const { handlers, events, prisma } = options
    this.topics = topicsOf(handlers, events)
    this.#set = inboxSet(prisma, 'inbox', options)
    const statements = inboxStatements(this.#set)
    const telemetry = this.#telemetry
    const applier = new Applier(options, statements)
    this.#statements = statements
    this.#reader = new Reader({ options, applier, telemetry, clock: systemClock, random: Math.random })
    this.#redriver = new Redriver({ options, statements, applier, telemetry })
  }

  consumerConfig(config: Partial<ConsumerConfig> = {}): ConsumerConfig {
    const { consumer, sessionTimeoutMs: sessionTimeout } = this.#options
    return { groupId: consumer, ...consumerDefaults, maxBytesPerPartition: 262_144, sessionTimeout, ...config }
  }

  get eachBatch(): (payload: EachBatchPayload) => Promise<void> {
    return this.#reader.eachBatch
  }

  run(consumer: Consumer, options: RunOptions = {}): Promise<void> {
    if (this.#running) {
      const remedy = 'Make another one with createInbox() for another consumer of kafkajs.'
      throw new OutboxError('INVALID_OPTION', 'This inbox runs already.', { field: 'run', remedy })
    }
    this.#running = this.#run(consumer, options)
    return this.#running
  }

  async stop(): Promise<void> {
    this.#end.abort()
    this.#reader.stop()
    await this.#running?.catch(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #run(kafkaConsumer: Consumer, { fromBeginning = true, partitionsConsumedConcurrently = 1 }: RunOptions): Promise<void> {
    const { consumer, sessionTimeoutMs } = this.#options
    const telemetry = this.#telemetry
    const topics = [...this.topics]
    const upkeep = new AbortController()
    const signal = AbortSignal.any([this.#end.signal, upkeep.signal])
    let keeping: Promise<void> | undefined
    let code: string | null = null
    try {
      await this.#checkTables()
      const guarded = await guardConsumer(kafkaConsumer)
      telemetry.emit('consumer_started', { consumer, topics, guarded })
      keeping = keepUp(
        { options: this.#options, set: this.#set, redriver: this.#redriver, telemetry, clock: systemClock },
        signal,
      )
      await runWatched(
        kafkaConsumer,
        {
          topics,
          fromBeginning,
          partitionsConsumedConcurrently,
          autoCommit: true,
          silenceMs: 2 * sessionTimeoutMs,
          eachBatch: this.#reader.eachBatch,
          assigned: (partitions) => telemetry.emit('partitions_assigned', { consumer, partitions }),
          crashed: (code, restart, topic) => telemetry.emit('consumer_crashed', { consumer, code, topic, restart }),
        },
        systemClock,
        this.#end.signal,
      )
    } catch (error) {
      code = codeOf(error)
      throw error
    } finally {
      upkeep.abort()
      this.#reader.stop()
      await keeping
      telemetry.emit('consumer_stopped', { consumer, code })
    }
  }

  /** Without this check, missing tables would be retried forever. A database that does not answer yet is waited for in the usual way. */
  async #checkTables(): Promise<void> {
    try {
      await this.#options.prisma.$queryRaw(this.#statements.ready)
    } catch (error) {
      const explained = explainInbox(error, this.#set)
      if (isOutboxError(explained)) throw explained
    }
  }
}

/**
 * A consumer of kafkajs that applies each message once: the events of a catalog, brought to their newest version, one transaction for
 * the handler and the row of the inbox. What fails is tried again in its place, while other partitions go on; with `dead-letter` it is put aside
 * with those of its key behind it. Warnings and errors go to the console unless a handler listens.
 *
 * @throws OutboxError INVALID_OPTION
 * @example
 * ```ts
 * const mail = createInbox({ prisma, consumer: 'mail', events, handlers: { OrderPlaced: async (event, tx) => { … } } })
 * await mail.run(kafka.consumer(mail.consumerConfig()))
 * ```
 */
export function createInbox<Client extends object, C extends Catalog, const B extends number | undefined = undefined>(
  options: InboxOptions<Client, C, B>,
): Inbox {
  return new InboxEngine(resolveInbox(options as never))
}
