import type { Consumer, ConsumerConfig, Kafka } from 'kafkajs'
import type { Catalog } from '../../events/catalog.ts'
import type { OutboxError } from '../../message/errors.ts'
import { systemClock } from '../../running/clock.ts'
import { consoleLines } from '../../running/console-lines.ts'
import { Emitter, type Listenable } from '../../running/emitter.ts'
import { guardedKafka } from '../../transport/kafkajs/guarded-kafka.ts'
import { projectionLines } from '../event-lines.ts'
import { wrongOption } from '../failure.ts'
import { inboxDefaults } from '../inbox/options.ts'
import { type InboxStatements, inboxStatements } from '../statements.ts'
import type { ProjectionEvents } from '../telemetry.ts'
import { consumerDefaults, runWatched, type WatchOptions } from '../watched-consumer.ts'
import { ProjectionLogs } from './logs.ts'
import { type ProjectionOptions, type ResolvedProjection, resolveProjection } from './options.ts'
import { ProjectionReader } from './reader.ts'

type Crashed = WatchOptions['crashed']

/** A read model that is fed from topics. Its position in them is stored with it. `createProjection` makes it; it runs from `run` to `stop`, once. */
export interface Projection extends Listenable<ProjectionEvents>, AsyncDisposable {
  /** Resolves when everything that was in the topics at the start is applied. Only this member's partitions count. */
  readonly live: Promise<void>
  /** Settings for `kafka.consumer()`. */
  consumerConfig(config?: Partial<ConsumerConfig>): ConsumerConfig
  /**
   * Reads until `stop()`. The Kafka object itself stays as it is.
   *
   * @throws OutboxError PROJECTION_LOG_CHANGED if a topic is not the log any more that was read, PROJECTION_START_GONE if records have been
   *   deleted that are not applied, unless that is allowed; otherwise as `run` of an inbox.
   */
  run(kafka: Kafka, config?: Partial<ConsumerConfig>): Promise<void>
  /** Finishes the transaction under way and leaves the group; then `run` resolves. Never rejects. */
  stop(): Promise<void>
  /** Stops the projection: for `await using`. */
  [Symbol.asyncDispose](): Promise<void>
}

/** Runs a {@link ProjectionReader} on a consumer of kafkajs, with a watch over its {@link ProjectionLogs}, until it is stopped. */
class ProjectionEngine implements Projection {
  readonly on: Projection['on']
  readonly live: Promise<void>
  readonly #telemetry = new Emitter<ProjectionEvents>(consoleLines(projectionLines))
  readonly #options: ResolvedProjection
  readonly #statements: InboxStatements
  readonly #end = new AbortController()
  /** Partitions of this member that have not reached the end of the start, with that end. */
  readonly #behind = new Map<string, bigint>()
  #resolveLive = () => {}
  #isLive = false
  /** Why it must not go on. */
  #refusal: OutboxError | undefined
  #running: Promise<void> | undefined

  constructor(options: ResolvedProjection) {
    this.#options = options
    this.on = this.#telemetry.on.bind(this.#telemetry)
    this.#statements = inboxStatements(options.set)
    this.live = new Promise((resolve) => {
      this.#resolveLive = resolve
    })
  }

  consumerConfig(config: Partial<ConsumerConfig> = {}): ConsumerConfig {
    return { groupId: this.#options.name, ...consumerDefaults, sessionTimeout: inboxDefaults.sessionTimeoutMs, ...config }
  }

  run(kafka: Kafka, config: Partial<ConsumerConfig> = {}): Promise<void> {
    if (this.#running) throw wrongOption('run', 'called once for each projection')
    const guarded = guardedKafka(kafka)
    this.#running = this.#run(guarded, guarded.consumer(this.consumerConfig(config)))
    return this.#running
  }

  async stop(): Promise<void> {
    this.#end.abort()
    await this.#running?.catch(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #run(kafka: Kafka, consumer: Consumer): Promise<void> {
    const { signal } = this.#end
    const crashed: Crashed = (code, restart, topic) =>
      this.#telemetry.emit('consumer_crashed', { consumer: this.#options.name, code, topic, restart })
    const refused = (error: OutboxError) => {
      this.#refusal ??= error
      this.#end.abort()
    }
    const logs = new ProjectionLogs(kafka, { ...this.#options, statements: this.#statements, crashed, refused })
    try {
      const ends = await logs.start(signal)
      void logs.watch(signal)
      await this.#read(consumer, logs, ends, crashed)
    } finally {
      await logs.close()
    }
    if (this.#refusal) throw this.#refusal
  }

  async #read(consumer: Consumer, logs: ProjectionLogs, ends: ReadonlyMap<string, bigint>, crashed: Crashed): Promise<void> {
    const { signal } = this.#end
    const reader = new ProjectionReader({
      options: this.#options,
      statements: this.#statements,
      telemetry: this.#telemetry,
      reached: (topic, partition, next) => this.#reached(topic, partition, next),
      check: (topic) => logs.check(topic),
      idOf: (topic) => logs.idOf(topic),
      signal,
    })
    const assigned = (partitions: Record<string, number[]>) => {
      reader.assigned()
      this.#assigned(partitions, ends)
    }
    await runWatched(
      consumer,
      {
        topics: [...this.#options.topics],
        fromBeginning: true,
        partitionsConsumedConcurrently: 1,
        autoCommit: false,
        silenceMs: 2 * inboxDefaults.sessionTimeoutMs,
        eachBatch: (payload) => reader.eachBatch(payload, consumer),
        gap: (gap) => reader.storeGap(gap),
        assigned,
        crashed,
      },
      systemClock,
      signal,
    ).finally(() => {
      // Where kafkajs gave up nobody has asked for the end.
      this.#end.abort()
      return reader.end()
    })
  }

  #assigned(partitions: Record<string, number[]>, ends: ReadonlyMap<string, bigint>): void {
    this.#telemetry.emit('partitions_assigned', { consumer: this.#options.name, partitions })
    this.#behind.clear()
    for (const [topic, ids] of Object.entries(partitions)) {
      for (const id of ids) this.#behind.set(`${topic}/${id}`, ends.get(`${topic}/${id}`) ?? 0n)
    }
    for (const [partition, end] of this.#behind) if (end === 0n) this.#behind.delete(partition)
    this.#emitLive()
  }

  #reached(topic: string, partition: number, next: bigint): void {
    const name = `${topic}/${partition}`
    const end = this.#behind.get(name)
    if (end === undefined || next < end) return
    this.#behind.delete(name)
    this.#emitLive()
  }

  #emitLive(): void {
    if (this.#isLive || this.#behind.size > 0) return
    this.#isLive = true
    this.#telemetry.emit('live', { name: this.#options.name })
    this.#resolveLive()
  }
}

/**
 * A read model that follows topics: one transaction for the changes of many records and for the position in the topic, so that each record is
 * applied exactly once, whatever crashes. Warnings and errors go to the console unless a handler listens.
 *
 * @throws OutboxError INVALID_OPTION
 * @example
 * ```ts
 * const orders = createProjection({ prisma, name: 'orders_v2', events, handlers: { OrderPlaced: (event, tx) => tx.orderView.upsert(…) } })
 * await orders.run(kafka)
 * ```
 */
export function createProjection<Client extends object, C extends Catalog>(options: ProjectionOptions<Client, C>): Projection {
  return new ProjectionEngine(resolveProjection(options as never))
}
