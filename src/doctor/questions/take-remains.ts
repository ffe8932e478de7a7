import pg from 'pg'
import { type TableSet, tablesOf } from '../../message/tables.ts'
import { explained } from '../../store/postgres/errors.ts'
import { connectionConfig } from '../../store/postgres/line.ts'
import { doctorStatements } from './statements.ts'

/** What is left of a transaction that was rolled back. */
export interface Remains {
  /** Where this outbox is, told so that no other outbox tells the same. */
  place: string
  /** Ids of the messages that stayed. They are taken out. */
  stayed: string[]
}

/** The statement that tells where an outbox is: for anyone who has another connection. */
export const placeSql = ({ schema, prefix }: TableSet): string => doctorStatements(tablesOf(schema, prefix)).place()

/**
 * Finds messages that should not be there, and takes them out.
 *
 * @throws OutboxError DATABASE_REFUSED, DATABASE_UNREACHABLE, MISSING_RIGHTS.
 */
export async function takeRemains(
  { databaseUrl, set }: { databaseUrl: string; set: TableSet },
  bucket: number,
  ids: readonly string[],
): Promise<Remains> {
  const sql = doctorStatements(tablesOf(set.schema, set.prefix))
  const client = new pg.Client(connectionConfig(databaseUrl))
  client.on('error', () => {})
  try {
    await client.connect()
    const results = (await client.query(sql.takeRemains(bucket, ids))) as unknown as pg.QueryResult<{ id: string }>[]
    const [found] = (await client.query<{ place: string }>(sql.place())).rows
    return { place: found!.place, stayed: results.at(-1)!.rows.map(({ id }) => id) }
  } catch (error) {
    throw explained(error)
  } finally {
    await client.end().catch(() => {})
  }
}
