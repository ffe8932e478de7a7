import { OutboxError } from '../../message/errors.ts'
import { connectionConfig, Line } from './line.ts'
import { explained } from './operator.ts'
import { ageMs, bytes, identifier, literal, namesAuthor, uuids } from './sql.ts'
import { parseUrl, schemaOf } from './store.ts'

/** Bytes of a key that a list gives. */
const listedKeyBytes = 65_536

/** Trigger of the migration that writes who asked. */
const authorTrigger = 'inbox_parked_wish'

/** Milliseconds that a statement may take. */
const limits = { statementTimeoutMs: 30_000, lockTimeoutMs: 5_000 }

/** A message that a consumer has put aside, as a list shows it: never its payload. */
export interface ParkedMessage extends ParkedName {
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
  parkedMs: number
  wish: 'redrive' | 'discard' | null
  wishedBy: string | null
}

/** Names a parked message. */
export interface ParkedName {
  consumer: string
  /** The message id, or the UUID that stands for a record without one. */
  identity: string
}

/** Which parked messages. All parts that are given must fit. */
export interface ParkedSelection {
  consumer?: string | undefined
  /** Identities, as a list shows them. */
  messageIds?: readonly string[] | undefined
  topic?: string | undefined
  key?: Uint8Array | undefined
  reason?: string | undefined
}

/** What operators ask of inbox_parked, and the wishes that they leave for the consumers. */
export interface ParkedOperator {
  /** Parked messages, by consumer, topic and arrival. `firsts`: only those that were put aside for a reason of their own. */
  list(which: ParkedSelection & { limit: number; firsts: boolean }): Promise<ParkedMessage[]>
  /** Writes the wish on those rows. */
  wish(rows: readonly ParkedName[], wish: 'redrive' | 'discard', by: string): Promise<void>
  /**
   * Of these rows, how many are there still; how many wishes stand for them and those behind them, and where they stand: as long as it
   * changes, somebody is at work.
   */
  look(rows: readonly ParkedMessage[]): Promise<{ there: number; open: number; at: string }>
  close(): void
}

/**
 * The operator's view of parked messages in PostgreSQL.
 *
 * @throws OutboxError DATABASE_REFUSED, DATABASE_UNREACHABLE, TABLES_MISSING, MISSING_RIGHTS; so do its methods.
 */
export async function postgresParked(options: { databaseUrl: string; schema?: string | undefined }): Promise<ParkedOperator> {
  const schema = schemaOf(parseUrl(options.databaseUrl, 'DATABASE_URL'), options.schema)
  const sql = statements(`${identifier(schema)}."inbox_parked"`)
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
    list: (which) => ask<ParkedMessage>(sql.list(which)),
    async wish(rows, wish, by) {
      const [{ names } = { names: false }] = await ask<{ names: boolean }>(sql.namesAuthor())
      await ask(sql.wish(rows, wish, { by, names }))
    },
    look: async (rows) => (await ask<{ there: number; open: number; at: string }>(sql.look(rows)))[0]!,
    close: () => line.close(),
  }
}

function missing(error: unknown, schema: string): OutboxError | undefined {
  if ((error as { code?: string }).code !== '42P01') return undefined
  const remedy =
    'Run "npx prisma-extension-outbox init --inbox", then "npx prisma migrate deploy"; --schema names another schema.'
  return new OutboxError('TABLES_MISSING', `The table inbox_parked is not in schema ${schema}.`, { remedy, cause: error })
}

/** Every statement, without parameters, as those of the outbox. */
const statements = (parked: string) => {
  const names = (rows: readonly ParkedName[]) =>
    rows.map(({ consumer, identity }) => `(${literal(consumer)}, ${literal(identity)}::uuid)`).join(', ')
  const name = '("consumer", "identity")'
  return {
    /** What {@link ParkedOperator.list} gives. Spans by the database's clock. */
    list: ({ consumer, messageIds, topic, key, reason, limit, firsts }: ParkedSelection & { limit: number; firsts: boolean }) => {
      const conditions = [
        ...(consumer === undefined ? [] : [`"consumer" = ${literal(consumer)}`]),
        ...(messageIds === undefined ? [] : [`"identity" = ANY (${uuids(messageIds)})`]),
        ...(topic === undefined ? [] : [`"topic" = ${literal(topic)}`]),
        ...(key === undefined ? [] : [`"key" = ${bytes(key)}`]),
        ...(reason === undefined ? [] : [`"reason" = ${literal(reason)}`]),
        ...(firsts ? ['"reason" IS NOT NULL'] : []),
      ]
      return `SELECT "consumer", "identity"::text AS identity, "topic", "partition", "offset"::text AS offset, "message_id"::text AS "messageId", "type",
        substring("key" FROM 1 FOR ${listedKeyBytes}) AS key, "reason", "error", "attempts", "wish", "wished_by" AS "wishedBy",
        ${ageMs('"parked_at"')} AS "parkedMs"
        FROM ${parked} ${conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`}
        ORDER BY "consumer", "topic", "arrival" LIMIT ${limit}`
    },

    /** See {@link namesAuthor}. */
    namesAuthor: () => namesAuthor(parked, authorTrigger),

    /** Leaves a wish. The trigger of the migration writes who asks. */
    wish: (rows: readonly ParkedName[], wish: 'redrive' | 'discard', { by, names: named }: { by: string; names: boolean }) =>
      `SET LOCAL outbox.wished_by = ${literal(by)};
UPDATE ${parked} SET "wish" = '${wish}'${named ? `, "wished_by" = session_user || ${literal(` (${by})`)}` : ''}
  WHERE ${name} IN (${names(rows)})`,

    /** What {@link ParkedOperator.look} gives. A redrive hands the wish on within the key; of a key that is cut off only the row is known. */
    look: (rows: readonly ParkedMessage[]) => {
      const keys = rows.filter(({ key }) => key !== null && key.length < listedKeyBytes)
      const keyed = keys.map(({ consumer, topic, key }) => `(${literal(consumer)}, ${literal(topic)}, ${bytes(key!)})`)
      const behind = keyed.length === 0 ? '' : `OR ("consumer", "topic", "key") IN (${keyed.join(', ')})`
      return `SELECT count(*) FILTER (WHERE ${name} IN (${names(rows)}))::int AS there, count("wish")::int AS open,
        coalesce(md5(string_agg("arrival"::text, ' ' ORDER BY "arrival") FILTER (WHERE "wish" IS NOT NULL)), '') AS at
        FROM ${parked} WHERE ${name} IN (${names(rows)}) ${behind}`
    },
  }
}
