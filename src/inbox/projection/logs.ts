import type { Admin, Kafka } from 'kafkajs'
import { isOutboxError, OutboxError } from '../../message/errors.ts'
import type { TableSet } from '../../message/tables.ts'
import { backoff } from '../../running/backoff.ts'
import { systemClock } from '../../running/clock.ts'
import { retry } from '../../running/retry.ts'
import { TopicIds } from '../../transport/kafkajs/topic-id.ts'
import { blamedTopic, codeOf, explainInbox } from '../failure.ts'
import type { InboxStatements, SqlClient } from '../statements.ts'

// Keeps rule 22 of docs/protocol-application.md.

// Whether a stored position still belongs to the log that it was taken from. An offset alone does not tell: offsets begin again in a topic
// that is created again and in another cluster, and an unclean election takes records away. Asked at the start of a projection, before it
// reads where kafkajs has jumped to, and every few seconds. Used by Projection; owns two connections to Kafka.

/** Milliseconds between two checks. Only a topic that has grown beyond the position, or is silent, waits for them. */
const checkMs = 10_000

/** What the logs are compared with. */
export interface ProjectionLogsPorts {
  prisma: SqlClient
  statements: InboxStatements
  set: TableSet
  name: string
  topics: readonly string[]
  allowMissingStart: boolean
  /** At the start: database or Kafka could not be asked; they are asked again. */
  crashed: (code: string, restart: boolean, topic: string | null) => void
  /** The projection must not go on: PROJECTION_LOG_CHANGED or PROJECTION_START_GONE. */
  refused: (error: OutboxError) => void
}

/** A stored position. */
interface Position {
  topic: string
  partition: number
  next: string
  topicId: string | null
}

/** A topic as Kafka has it now. */
interface Log {
  id: string | null
  partitions: { partition: number; low: string; high: string }[]
}

/** The logs of a projection's topics. */
export class ProjectionLogs {
  readonly #kafka: Kafka
  readonly #ports: ProjectionLogsPorts
  readonly #ids = new Map<string, string | null>()
  #clients: { admin: Admin; ids: TopicIds }

  constructor(kafka: Kafka, ports: ProjectionLogsPorts) {
    this.#kafka = kafka
    this.#ports = ports
    this.#clients = clientsOf(kafka)
  }

  /**
   * Ends of the partitions now, by topic/partition; 0 if there is no record to wait for. Waits for database and Kafka.
   *
   * @throws OutboxError PROJECTION_LOG_CHANGED, PROJECTION_START_GONE and TABLES_MISSING.
   */
  async start(signal: AbortSignal): Promise<Map<string, bigint>> {
    let topic: string | null = null
    const ask = () =>
      this.#ends((now) => {
        topic = now
      })
    const failed = (error: unknown, attempt: number) => {
      const explained = explainInbox(error, this.#ports.set)
      if (isOutboxError(explained)) throw explained
      this.#ports.crashed(codeOf(error), true, blamedTopic(error, topic))
      return backoff(attempt, Math.random(), { firstMs: 250, maxMs: 10_000 })
    }
    return (await retry(ask, failed, { clock: systemClock, signal })) ?? new Map()
  }

  async #ends(asks: (topic: string) => void): Promise<Map<string, bigint>> {
    const ends = new Map<string, bigint>()
    for (const topic of this.#ports.topics) {
      asks(topic)
      for (const { partition, low, high } of await this.check(topic)) {
        ends.set(`${topic}/${partition}`, low === high ? 0n : BigInt(high))
      }
    }
    return ends
  }

  /** Checks every topic every few seconds until `signal` aborts. Never rejects: `refused` is called, and trouble is left to the reader. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await systemClock.wait(checkMs, signal)
      for (const topic of this.#ports.topics) if (!signal.aborted) await this.check(topic).catch(() => {})
    }
  }

  /** Partitions of a topic that is still the log that was read. Calls `refused` otherwise, and throws the same error. */
  async check(topic: string): Promise<Log['partitions']> {
    // Positions only grow. Those from before Kafka was asked cannot be beyond its ends, and those from after it not before its beginnings,
    // however many members move them meanwhile.
    const before = await this.#stored(topic)
    const log = await this.#ask(topic)
    const refusal = changed(topic, before, log) ?? this.#lacking(topic, await this.#stored(topic), log)
    if (refusal) {
      this.#ports.refused(refusal)
      throw refusal
    }
    this.#ids.set(topic, log.id)
    return log.partitions
  }

  #lacking(topic: string, stored: readonly Position[], { partitions }: Log): OutboxError | undefined {
    if (this.#ports.allowMissingStart) return undefined
    const next = new Map(stored.map((position) => [position.partition, BigInt(position.next)]))
    const gone = partitions.find(({ partition, low }) => BigInt(low) > (next.get(partition) ?? 0n))
    return gone && startGone(topic, gone.partition)
  }

  /** Kafka's id of a topic as of its last check; null if the brokers tell none. */
  idOf(topic: string): string | null {
    return this.#ids.get(topic) ?? null
  }

  async #stored(topic: string): Promise<Position[]> {
    const { prisma, statements, name } = this.#ports
    const rows = await prisma.$queryRaw<Position[]>(statements.positions, name)
    return rows.filter((row) => row.topic === topic)
  }

  async #ask(topic: string): Promise<Log> {
    const clients = this.#clients
    const { admin, ids } = clients
    try {
      await admin.connect()
      return { id: await ids.of(topic), partitions: await admin.fetchTopicOffsets(topic) }
    } catch (error) {
      // An admin of kafkajs goes on asking the leaders that it knows, so the next check takes another.
      if (this.#clients === clients) this.#clients = clientsOf(this.#kafka)
      await closed(clients)
      throw error
    }
  }

  /** Closes the connections. Never rejects. */
  async close(): Promise<void> {
    await closed(this.#clients)
  }
}

const clientsOf = (kafka: Kafka) => ({ admin: kafka.admin(), ids: new TopicIds(kafka) })

async function closed({ admin, ids }: ReturnType<typeof clientsOf>): Promise<void> {
  await Promise.all([admin.disconnect().catch(() => {}), ids.close()])
}

/** The refusal of a log that is not the one that was read, as far as ids and ends show it. */
function changed(topic: string, stored: readonly Position[], log: Log): OutboxError | undefined {
  const ends = new Map(log.partitions.map(({ partition, high }) => [partition, BigInt(high)]))
  for (const { partition, next, topicId } of stored) {
    if (topicId !== null && log.id !== null && topicId !== log.id) {
      return logChanged(
        `The topic ${topic} was deleted and created again, or is another cluster's: its id is ${log.id}, not ${topicId}.`,
      )
    }
    const end = ends.get(partition)
    if (end !== undefined && BigInt(next) > end) {
      return logChanged(
        `Partition ${partition} of the topic ${topic} ends at offset ${end}, but was read up to ${next}: records are lost.`,
      )
    }
  }
  return undefined
}

function logChanged(what: string): OutboxError {
  const remedy = 'Build the read model under a new name, or start over as docs/guides/projections.md shows.'
  return new OutboxError('PROJECTION_LOG_CHANGED', what, { field: 'topics', remedy })
}

function startGone(topic: string, partition: number): OutboxError {
  const what = `Records of ${topic}, partition ${partition}, have been deleted before they were applied.`
  const remedy = 'Set retention.ms=-1 on topics that read models are built from, or give allowMissingStart: true.'
  return new OutboxError('PROJECTION_START_GONE', what, { field: 'topics', remedy })
}
