import { OutboxError } from '../../message/errors.ts'
import { tableNames, tablesOf } from '../../message/tables.ts'
import { explained } from './errors.ts'
import { codeOf, connectionConfig, Line } from './line.ts'
import { createTables } from './refusals.ts'
import { ageMs, bytes, literal, namesAuthor, uuids } from './sql.ts'
import { parseUrl, schemaOf } from './store.ts'

/** Bytes of a key that a list gives. */
const listedKeyBytes = 65_536

/** Trigger of the migration that writes who asked. */
const authorTrigger = 'inbox_dead_letter_request'

/** Milliseconds that a statement may take. */
const limits = { statementTimeoutMs: 30_000, lockTimeoutMs: 5_000 }

/** A message that a consumer has put aside, as a list shows it: never its payload. */
export interface InboxDeadLetter extends InboxDeadLetterName {
  topic: string
  partition: number
  offset: string
  /** Null: the record has no id, or one that is no UUID. */
  messageId: string | null
  type: string | null
  /** Of a key over 64 KiB only the beginning. */
  key: Uint8Array | null
  /** Null: it waits behind another of its topic and key. */
  reason: string | null
  error: string | null
  attempts: number
  diedMs: number
  requestedAction: 'redrive' | 'discard' | null
  requestedBy: string | null
}

/** Names a dead-lettered message. */
export interface InboxDeadLetterName {
  consumer: string
  /** The message id, or the UUID that stands for a record without one. */
  identity: string
}

/** Which dead-lettered messages. All parts that are given must fit. */
export interface InboxSelection {
  consumer?: string | undefined
  /** Identities, as a list shows them. */
  messageIds?: readonly string[] | undefined
  topic?: string | undefined
  key?: Uint8Array | undefined
  reason?: string | undefined
}

/** What operators ask of inbox_dead_letter, and the requests that they leave for the consumers. */
export interface InboxOperator {
  /** Dead-lettered messages, by consumer, topic and arrival. `firsts`: only those that were put aside for a reason of their own. */
  list(which: InboxSelection & { limit: number; firsts: boolean }): Promise<InboxDeadLetter[]>
  /** Writes the request on those rows. */
  request(rows: readonly InboxDeadLetterName[], action: 'redrive' | 'discard', by: string): Promise<void>
  /**
   * Of these rows, how many are there still; how many requests stand for them and those behind them, and where they stand: as long as it
   * changes, somebody is at work.
   */
  look(rows: readonly InboxDeadLetter[]): Promise<{ there: number; open: number; at: string }>
  close(): void
}

/**
 * The operator's view of dead-lettered messages in PostgreSQL.
 *
 * @throws OutboxError DATABASE_REFUSED, DATABASE_UNREACHABLE, TABLES_MISSING, MISSING_RIGHTS; so do its methods.
 */
export async function postgresInboxOperator(options: {
  databaseUrl: string
  schema?: string | undefined
}): Promise<InboxOperator> {
  const schema = schemaOf(parseUrl(options.databaseUrl, 'DATABASE_URL'), options.schema)
  const sql = statements(tablesOf(schema).inboxDead)
  let line: Line
  try {
    line = await Line.open(connectionConfig(options.databaseUrl), limits, () => {})
  } catch (error) {
    throw explained(error)
  }
  const ask = async <T>(text: string): Promise<T[]> => {
    try {
      return await line.rows<T>(text)
    } catch (error) {
      throw missing(error, schema) ?? explained(error)
    }
  }
  return {
    list: (which) => ask<InboxDeadLetter>(sql.list(which)),
    async request(rows, action, by) {
      const [{ names } = { names: false }] = await ask<{ names: boolean }>(sql.namesAuthor())
      await ask(sql.request(rows, action, { by, names }))
    },
    look: async (rows) => (await ask<{ there: number; open: number; at: string }>(sql.look(rows)))[0]!,
    close: () => line.close(),
  }
}

function missing(error: unknown, schema: string): OutboxError | undefined {
  if (codeOf(error) !== '42P01') return undefined
  const finding = `Not in schema ${schema}: ${tableNames.inboxDead}.`
  return new OutboxError('TABLES_MISSING', finding, { remedy: createTables(' --inbox'), cause: error })
}

/** Every statement, without parameters, as those of the outbox. */
const statements = (deadLettered: string) => {
  const names = (rows: readonly InboxDeadLetterName[]) =>
    rows.map(({ consumer, identity }) => `(${literal(consumer)}, ${literal(identity)}::uuid)`).join(', ')
  const name = '("consumer", "identity")'
  return {
    /** What {@link InboxOperator.list} gives. Spans by the database's clock. */
    list: ({ consumer, messageIds, topic, key, reason, limit, firsts }: InboxSelection & { limit: number; firsts: boolean }) => {
      const conditions = [
        ...(consumer === undefined ? [] : [`"consumer" = ${literal(consumer)}`]),
        ...(messageIds === undefined ? [] : [`"identity" = ANY (${uuids(messageIds)})`]),
        ...(topic === undefined ? [] : [`"topic" = ${literal(topic)}`]),
        ...(key === undefined ? [] : [`"key" = ${bytes(key)}`]),
        ...(reason === undefined ? [] : [`"reason" = ${literal(reason)}`]),
        ...(firsts ? ['"reason" IS NOT NULL'] : []),
      ]
      return `SELECT "consumer", "identity"::text AS identity, "topic", "partition", "offset"::text AS offset, "message_id"::text AS "messageId", "type",
        substring("key" FROM 1 FOR ${listedKeyBytes}) AS key, "reason", "error", "attempts", "requested_action" AS "requestedAction", "requested_by" AS "requestedBy",
        ${ageMs('"died_at"')} AS "diedMs"
        FROM ${deadLettered} ${conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`}
        ORDER BY "consumer", "topic", "arrival" LIMIT ${limit}`
    },

    /** See {@link namesAuthor}. */
    namesAuthor: () => namesAuthor(deadLettered, authorTrigger),

    /** Leaves a request. The trigger of the migration writes who asks. */
    request: (
      rows: readonly InboxDeadLetterName[],
      action: 'redrive' | 'discard',
      { by, names: named }: { by: string; names: boolean },
    ) =>
      `SET LOCAL outbox.requested_by = ${literal(by)};
UPDATE ${deadLettered} SET "requested_action" = '${action}'${named ? `, "requested_by" = session_user || ${literal(` (${by})`)}` : ''}
  WHERE ${name} IN (${names(rows)})`,

    /** What {@link InboxOperator.look} gives. A redrive hands the request on within the key; of a key that is cut off only the row is known. */
    look: (rows: readonly InboxDeadLetter[]) => {
      const keys = rows.filter(({ key }) => key !== null && key.length < listedKeyBytes)
      const keyed = keys.map(({ consumer, topic, key }) => `(${literal(consumer)}, ${literal(topic)}, ${bytes(key!)})`)
      const behind = keyed.length === 0 ? '' : `OR ("consumer", "topic", "key") IN (${keyed.join(', ')})`
      return `SELECT count(*) FILTER (WHERE ${name} IN (${names(rows)}))::int AS there, count("requested_action")::int AS open,
        coalesce(md5(string_agg("arrival"::text, ' ' ORDER BY "arrival") FILTER (WHERE "requested_action" IS NOT NULL)), '') AS at
        FROM ${deadLettered} WHERE ${name} IN (${names(rows)}) ${behind}`
    },
  }
}
