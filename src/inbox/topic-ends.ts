import type { Kafka } from 'kafkajs'
import { isOutboxError, OutboxError } from '../message/errors.ts'
import { backoff } from '../running/backoff.ts'
import { systemClock } from '../running/clock.ts'
import { codeOf } from './failure.ts'
import { explainInbox } from './once.ts'
import type { InboxStatements, SqlClient } from './statements.ts'

/** What a projection begins with. */
interface Beginning {
  prisma: SqlClient
  statements: InboxStatements
  schema: string
  name: string
  topics: readonly string[]
  allowMissingStart: boolean
  /** Database or Kafka could not be asked; they are asked again. */
  crashed: (code: string, restart: boolean) => void
}

/**
 * Ends of the partitions of topics now, by topic/partition; 0 where there is no record to wait for. Database and Kafka are waited for.
 *
 * Throws PROJECTION_START_GONE where records that are not applied yet have been deleted, and TABLES_MISSING.
 */
export async function topicEnds(kafka: Kafka, beginning: Beginning, signal: AbortSignal): Promise<Map<string, bigint>> {
  for (let attempt = 1; !signal.aborted; attempt++) {
    try {
      return await ask(kafka, beginning)
    } catch (error) {
      const explained = explainInbox(error, beginning.schema)
      if (isOutboxError(explained)) throw explained
      beginning.crashed(codeOf(error), true)
      await systemClock.wait(backoff(attempt, Math.random(), { firstMs: 250, maxMs: 10_000 }), signal)
    }
  }
  return new Map()
}

async function ask(
  kafka: Kafka,
  { prisma, statements, name, topics, allowMissingStart }: Beginning,
): Promise<Map<string, bigint>> {
  const rows = await prisma.$queryRaw<{ topic: string; partition: number; next: string }[]>(statements.places, name)
  const places = new Map(rows.map(({ topic, partition, next }) => [`${topic}/${partition}`, BigInt(next)]))
  const ends = new Map<string, bigint>()
  const admin = kafka.admin()
  try {
    await admin.connect()
    for (const topic of topics) {
      for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
        const place = `${topic}/${partition}`
        if (BigInt(low) > (places.get(place) ?? 0n) && !allowMissingStart) throw startGone(topic, partition)
        ends.set(place, low === high ? 0n : BigInt(high))
      }
    }
    return ends
  } finally {
    await admin.disconnect().catch(() => {})
  }
}

function startGone(topic: string, partition: number): OutboxError {
  const what = `Records of ${topic}, partition ${partition}, have been deleted before they were applied.`
  const remedy = 'Set retention.ms=-1 on topics that read models are built from, or give allowMissingStart: true.'
  return new OutboxError('PROJECTION_START_GONE', what, { field: 'topics', remedy })
}
