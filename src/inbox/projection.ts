import type { Consumer, ConsumerConfig, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs'
import type { AnyEvent, Catalogue } from '../enqueue/events.ts'
import { schemaOfTable } from '../enqueue/extension.ts'
import { Telemetry } from '../relay/telemetry.ts'
import { backoff } from '../running/backoff.ts'
import { systemClock } from '../running/clock.ts'
import { Beating } from './beating.ts'
import { decode } from './decode.ts'
import { codeOf, withinLimit, wrongOption } from './failure.ts'
import type { Handlers, ReceivedEvent, TransactionOf } from './handlers.ts'
import { inboxDefaults, type PrismaLike } from './options.ts'
import { Pauses } from './pauses.ts'
import { recordOf } from './record.ts'
import { type InboxStatements, inboxStatements, type SqlClient } from './statements.ts'
import type { InboxEvents } from './telemetry.ts'
import { topicEnds } from './topic-ends.ts'
import { runWatched } from './watched-consumer.ts'

/** Options of `createProjection()`. */
export interface ProjectionOptions<Client, C extends Catalogue> {
  /** The Prisma client of the database with the read model. */
  prisma: Client
  /** Name of the projection and of its group. To build it anew, give another one, beside the old. */
  name: string
  /** The catalogue of the events. */
  events: C
  /** What each event changes in the read model. No effects outside of the database: a rebuild repeats everything. */
  handlers: Handlers<C['events'], TransactionOf<NoInfer<Client>>, undefined>
  /** Topics to read. @default those of the events that have a handler */
  topics?: readonly string[] | undefined
  /** Begin with the oldest record there is, also where older ones have been deleted: the read model lacks them. @default false */
  allowMissingStart?: boolean | undefined
  /** Records of one transaction at most. @default 500 */
  batch?: number | undefined
  /** PostgreSQL schema of the table inbox_projection. @default as for the inbox */
  schema?: string | undefined
}

/** What is told about a projection. */
export interface ProjectionEvents extends Pick<InboxEvents, 'consumer_crashed' | 'partitions_assigned'> {
  /** Records were applied in one transaction. */
  projected: { name: string; topic: string; partition: number; records: number; nextOffset: string; ms: number }
  /** Records could not be applied; the partition waits for `waitMs` and tries again. */
  projection_failed: { name: string; topic: string; partition: number; offset: string; code: string; waitMs: number }
  /** Everything that was there at the start is applied: the read model may be used. Once. */
  live: { name: string }
}

/** Records of one transaction: more make long transactions, fewer cost commits. */
const defaultBatch = 500

interface Resolved {
  prisma: PrismaLike
  name: string
  events: Catalogue
  handlers: Readonly<Record<string, (event: ReceivedEvent, tx: SqlClient) => unknown>>
  topics: readonly string[]
  allowMissingStart: boolean
  batch: number
}

/** A read model that is fed from topics. Its place in them is stored with it. Made by {@link createProjection}. */
export class Projection {
  /** Tells what happens; subscribe before `run`. */
  readonly telemetry = new Telemetry<ProjectionEvents>()
  /** Resolves when everything that was in the topics at the start is applied. Only this member's partitions count. */
  readonly live: Promise<void>
  readonly #options: Resolved
  readonly #statements: InboxStatements
  readonly #schema: string
  readonly #end = new AbortController()
  readonly #pauses = new Pauses()
  readonly #tries = new Map<string, number>()
  /** Partitions of this member that have not reached the end of the start, with that end. */
  readonly #behind = new Map<string, bigint>()
  #resolveLive = () => {}
  #isLive = false
  #running: Promise<void> | undefined

  /** @internal Use {@link createProjection}. */
  constructor(options: Resolved, schema: string) {
    this.#options = options
    this.#schema = schema
    this.#statements = inboxStatements(schema)
    this.live = new Promise((resolve) => {
      this.#resolveLive = resolve
    })
  }

  /** Settings for `kafka.consumer()`. */
  consumerConfig(config: Partial<ConsumerConfig> = {}): ConsumerConfig {
    return { groupId: this.#options.name, maxWaitTimeInMs: 500, sessionTimeout: inboxDefaults.sessionTimeoutMs, ...config }
  }

  /**
   * Reads until `stop()`. Rejects with PROJECTION_START_GONE where a partition that was never read has lost its beginning, unless that is
   * allowed, and as `run` of an inbox does.
   */
  run(kafka: Kafka, config: Partial<ConsumerConfig> = {}): Promise<void> {
    if (this.#running) throw wrongOption('run', 'called once for each projection')
    this.#running = this.#run(kafka, kafka.consumer(this.consumerConfig(config)))
    return this.#running
  }

  /** Finishes the transaction under way and leaves the group; then `run` resolves. Never rejects. */
  async stop(): Promise<void> {
    this.#end.abort()
    this.#pauses.forget()
    await this.#running?.catch(() => {})
  }

  async #run(kafka: Kafka, consumer: Consumer): Promise<void> {
    const { topics, name } = this.#options
    const crashed = (code: string, restart: boolean) => this.telemetry.emit('consumer_crashed', { consumer: name, code, restart })
    const ends = await topicEnds(
      kafka,
      { ...this.#options, statements: this.#statements, schema: this.#schema, crashed },
      this.#end.signal,
    )
    const assigned = (partitions: Record<string, number[]>) => {
      this.telemetry.emit('partitions_assigned', { consumer: name, partitions })
      this.#behind.clear()
      for (const [topic, ids] of Object.entries(partitions)) {
        for (const id of ids) this.#behind.set(`${topic}/${id}`, ends.get(`${topic}/${id}`) ?? 0n)
      }
      for (const [partition, end] of this.#behind) if (end === 0n) this.#behind.delete(partition)
      this.#tellLive()
    }
    await runWatched(
      consumer,
      {
        topics: [...topics],
        fromBeginning: true,
        partitionsConsumedConcurrently: 1,
        autoCommit: false,
        silenceMs: 2 * inboxDefaults.sessionTimeoutMs,
        eachBatch: (payload) => this.#eachBatch(payload, consumer),
        assigned,
        crashed,
      },
      systemClock,
      this.#end.signal,
    )
  }

  async #eachBatch(payload: EachBatchPayload, consumer: Consumer): Promise<void> {
    const { batch, isRunning, isStale } = payload
    const { topic, partition, messages } = batch
    const beating = new Beating(payload.heartbeat)
    for (let i = 0; i < messages.length && isRunning() && !isStale() && !beating.lost; ) {
      const chunk = messages.slice(i, i + this.#options.batch)
      try {
        // Control records of Kafka's transactions stand behind the last record, and belong to what is passed.
        const last = i + chunk.length < messages.length ? chunk.at(-1)!.offset : batch.lastOffset()
        const next = await this.#apply(topic, partition, chunk, BigInt(last) + 1n)
        this.#tries.delete(`${topic}/${partition}`)
        this.#passed(topic, partition, next)
        payload.resolveOffset(chunk.at(-1)!.offset)
        // Far ahead already: another member, or this one before it was killed, has applied all of this.
        if (next > BigInt(batch.lastOffset()) + 1n) {
          consumer.seek({ topic, partition, offset: String(next) })
          break
        }
        i += chunk.length
      } catch (error) {
        this.#wait(error, chunk[0]!.offset, payload)
        break
      }
    }
    beating.end()
  }

  /** Applies records in one transaction with the new place; those below the stored place are passed over. Gives the place. */
  async #apply(topic: string, partition: number, messages: readonly KafkaMessage[], end: bigint): Promise<bigint> {
    const { prisma, name } = this.#options
    const events: { offset: bigint; event: ReceivedEvent }[] = []
    for (const message of messages) {
      const event = await this.#read(topic, partition, message)
      if (event) events.push({ offset: BigInt(message.offset), event })
    }
    const start = performance.now()
    const { handlerTimeoutMs: timeout } = inboxDefaults
    let records = 0
    const work = prisma.$transaction(
      async (tx) => {
        // Locks the row: whoever has it applies, and the other finds all of it done.
        const rows = await tx.$queryRaw<{ next: string }[]>(this.#statements.place, name, topic, partition)
        const stored = BigInt(rows[0]!.next)
        if (stored >= end) return stored
        for (const { offset, event } of events) {
          if (offset < stored) continue
          records++
          await this.#options.handlers[event.type]!(event, tx)
        }
        // The last statement: it fails where an earlier one did and a handler caught its error.
        await tx.$executeRaw(this.#statements.move, String(end), name, topic, partition)
        return end
      },
      { timeout, maxWait: 5_000 },
    )
    const next = await withinLimit(work, timeout + 5_000)
    const ms = Math.round(performance.now() - start)
    if (records > 0) this.telemetry.emit('projected', { name, topic, partition, records, nextOffset: String(next), ms })
    return next
  }

  /** The event of a record; undefined for one without a handler. Throws for one that cannot be read: a hole in a read model is for ever. */
  async #read(topic: string, partition: number, message: KafkaMessage): Promise<ReceivedEvent | undefined> {
    const { events, handlers } = this.#options
    const record = recordOf(topic, partition, message)
    const event: AnyEvent | undefined =
      record.type !== null && Object.hasOwn(handlers, record.type) ? events.find(record.type) : undefined
    if (event?.topic !== topic) return undefined
    const decoded = await decode(record, event, events)
    if ('event' in decoded) return decoded.event
    throw Object.assign(new Error(decoded.error), { code: decoded.reason })
  }

  #wait(error: unknown, offset: string, payload: EachBatchPayload): void {
    const { topic, partition } = payload.batch
    const place = `${topic}/${partition}`
    const tries = (this.#tries.get(place) ?? 0) + 1
    this.#tries.set(place, tries)
    const waitMs = backoff(tries, Math.random(), inboxDefaults.retry)
    this.telemetry.emit('projection_failed', { name: this.#options.name, topic, partition, offset, code: codeOf(error), waitMs })
    this.#pauses.begin(payload, waitMs)
  }

  #passed(topic: string, partition: number, next: bigint): void {
    const place = `${topic}/${partition}`
    const end = this.#behind.get(place)
    if (end === undefined || next < end) return
    this.#behind.delete(place)
    this.#tellLive()
  }

  #tellLive(): void {
    if (this.#isLive || this.#behind.size > 0) return
    this.#isLive = true
    this.telemetry.emit('live', { name: this.#options.name })
    this.#resolveLive()
  }
}

/**
 * A read model that follows topics: one transaction for the changes of many records and for the place in the topic, so that each record is
 * applied exactly once, whatever crashes. Throws INVALID_OPTION.
 *
 * @example
 * const orders = createProjection({ prisma, name: 'orders_v2', events, handlers: { OrderPlaced: (event, tx) => tx.orderView.upsert(…) } })
 * await orders.run(kafka)
 */
export function createProjection<Client extends object, C extends Catalogue>(options: ProjectionOptions<Client, C>): Projection {
  const {
    prisma,
    name,
    events,
    handlers,
    batch = defaultBatch,
    schema,
    allowMissingStart = false,
  } = options as unknown as Resolved & {
    schema?: string
  }
  if (typeof prisma?.$transaction !== 'function') throw wrongOption('prisma', 'a Prisma client')
  if (typeof name !== 'string' || name === '') throw wrongOption('name', 'a name')
  if (typeof events?.find !== 'function') throw wrongOption('events', 'a catalogue that defineEvents() made')
  const types = Object.keys(handlers ?? {})
  if (types.length === 0 || types.some((type) => !events.find(type)))
    throw wrongOption('handlers', 'functions for events of the catalogue')
  if (!Number.isInteger(batch) || batch < 1 || batch > 100_000) throw wrongOption('batch', 'a whole number from 1 to 100000')
  const topics = options.topics ?? [...new Set(types.map((type) => events.find(type)!.topic))].sort()
  return new Projection(
    { prisma, name, events, handlers, topics, allowMissingStart, batch },
    schema ?? schemaOfTable(prisma, 'inbox_projection'),
  )
}
