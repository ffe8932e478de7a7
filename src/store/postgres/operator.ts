import type { ListedMessage, Operator, OutboxStatus, RelayState, Selection, ShownMessage } from '../operator.ts'
import type { RowName } from '../store.ts'
import { refusal, refuseMissingTables } from './check.ts'
import { connectionConfig, Line } from './line.ts'
import { countedMessages, operatorStatements } from './operator-statements.ts'
import { tablesOf } from './statements.ts'
import { parseUrl, schemaOf } from './store.ts'

/** A message may be looked for in a table of millions. */
const limits = { statementTimeoutMs: 30_000, lockTimeoutMs: 5_000 }

/** Wishes are few; a redrive of more keys than this is done in portions. */
const wishRows = 1_000

/**
 * The operator's view of an outbox in PostgreSQL.
 *
 * @throws OutboxError DATABASE_REFUSED, TABLES_MISSING.
 */
export async function postgresOperator(options: { databaseUrl: string; schema?: string | undefined }): Promise<Operator> {
  const schema = schemaOf(parseUrl(options.databaseUrl, 'DATABASE_URL'), options.schema)
  const tables = tablesOf(schema)
  let line: Line | undefined
  try {
    line = await Line.open(connectionConfig(options.databaseUrl), limits, () => {})
    await refuseMissingTables(line, schema, tables)
    return new PostgresOperator(line, operatorStatements(tables))
  } catch (error) {
    line?.close()
    throw refusal(error)
  }
}

class PostgresOperator implements Operator {
  readonly #line: Line
  readonly #sql: ReturnType<typeof operatorStatements>

  constructor(line: Line, sql: ReturnType<typeof operatorStatements>) {
    this.#line = line
    this.#sql = sql
  }

  async status(): Promise<OutboxStatus> {
    const [backlog] = await this.#line.rows<{ counted: number; estimate: number; oldestMs: number | null }>(this.#sql.backlog())
    const [leases] = await this.#line.rows<OutboxStatus['leases']>(this.#sql.leases())
    const relays = await this.#line.rows<RelayState>(this.#sql.relays())
    const dead = await this.#line.rows<{ reason: string | null; n: number }>(this.#sql.dead())
    const { counted, estimate, oldestMs } = backlog!
    const exact = counted <= countedMessages
    return {
      backlog: { messages: exact ? counted : Math.max(counted, Math.round(estimate)), exact, oldestMs },
      leases: leases!,
      relays,
      dead: {
        byReason: Object.fromEntries(dead.flatMap(({ reason, n }) => (reason === null ? [] : [[reason, n]]))),
        behind: dead.find((one) => one.reason === null)?.n ?? 0,
      },
    }
  }

  list(which: Selection & { dead: boolean; limit: number }): Promise<ListedMessage[]> {
    return this.#line.rows(which.dead ? this.#sql.listDead(which, which.limit) : this.#sql.listWaiting(which, which.limit))
  }

  async show(messageId: string, withPayload: boolean): Promise<ShownMessage | null> {
    const [row] = await this.#line.rows<ShownMessage>(this.#sql.show(messageId, withPayload))
    return row ?? null
  }

  choose(which: Selection, wish: 'redrive' | 'discard'): Promise<ListedMessage[]> {
    return this.#line.rows(wish === 'redrive' ? this.#sql.chooseRedrive(which) : this.#sql.chooseDiscard(which))
  }

  async wish(rows: readonly RowName[], wish: 'redrive' | 'discard'): Promise<void> {
    for (let at = 0; at < rows.length; at += wishRows) await this.#line.rows(this.#sql.wish(rows.slice(at, at + wishRows), wish))
  }

  unanswered(rows: readonly RowName[], wish: 'redrive' | 'discard'): Promise<RowName[]> {
    return this.#line.rows(this.#sql.unanswered(rows, wish))
  }

  close(): void {
    this.#line.close()
  }
}
