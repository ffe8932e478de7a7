import { OutboxError } from '../../message/errors.ts'
import { type TableSet, tablesOf } from '../../message/tables.ts'
import type {
  DeadGroup,
  DeadKey,
  Holder,
  ListedMessage,
  Look,
  Operator,
  OutboxSample,
  OutboxStatus,
  Portion,
  Reach,
  RecordedBatches,
  RedriveOutcome,
  RelayState,
  Selection,
  ShownMessage,
} from '../operator.ts'
import type { RowName } from '../store.ts'
import { refuseMissingTables } from './check.ts'
import { explained } from './errors.ts'
import { connectionConfig, Line } from './line.ts'
import {
  countedDead,
  countedMessages,
  operatorStatements,
  readsPayloads,
  sampledDead,
  sampledHeads,
  shownBytes,
} from './operator-statements.ts'
import { otherOutboxesLimits } from './other-outboxes.ts'
import { tableFormats } from './refusals.ts'
import { type Place, tableSetOf } from './store.ts'

/** Milliseconds that a statement may take: a message may be looked for in a table of millions. */
const defaultTimeoutMs = 30_000

/** Requests are few; a redrive of more keys than this is done in portions. */
const requestRows = 1_000

/**
 * The operator's view of an outbox in PostgreSQL. `timeoutMs` is what a statement may take, 30,000 by default.
 *
 * @throws OutboxError INVALID_OPTION, DATABASE_REFUSED, DATABASE_UNREACHABLE, TABLES_MISSING, MISSING_RIGHTS, READ_ONLY_DATABASE; so do
 * its methods.
 */
export async function postgresOperator(options: Place & { timeoutMs?: number }): Promise<Operator> {
  const statementTimeoutMs = options.timeoutMs ?? defaultTimeoutMs
  const limits = { statementTimeoutMs, lockTimeoutMs: Math.min(5_000, statementTimeoutMs) }
  const set = tableSetOf(options)
  const tables = tablesOf(set.schema, set.prefix)
  let line: Line | undefined
  try {
    line = await Line.open(connectionConfig(options.databaseUrl), limits, () => {})
    await refuseMissingTables(line, set)
    const [rights] = await line.rows<{ payloads: boolean }>(readsPayloads(tables))
    return new PostgresOperator(line, operatorStatements(tables, rights!.payloads), rights!.payloads)
  } catch (error) {
    line?.close()
    throw explained(error)
  }
}

interface Backlog {
  counted: number
  estimate: number
  oldestMs: number | null
}

/** What waits first in each bucket: of a topic, or, where that is null, of all. */
interface Heads extends Backlog {
  topic: string | null
  ownOldestMs: number | null
  fullest: number
}

const toBacklog = ({ counted, estimate, oldestMs }: Backlog): OutboxStatus['backlog'] => {
  const exact = counted <= countedMessages
  return { messages: exact ? counted : Math.max(counted, Math.round(estimate)), exact, oldestMs }
}

const toLeases = (holders: readonly Holder[]): OutboxStatus['leases'] => {
  const [free, expired] = [holders.filter((one) => one.relay === null).length, holders.filter((one) => one.expired).length]
  return { held: holders.length - free - expired, expired, free }
}

/** `limit`: so many rows were counted at most. */
const toDead = (rows: readonly { reason: string | null; n: number }[], limit: number): OutboxStatus['dead'] => ({
  byReason: Object.fromEntries(rows.flatMap(({ reason, n }) => (reason === null ? [] : [[reason, n]]))),
  blocked: rows.find((one) => one.reason === null)?.n ?? 0,
  exact: rows.reduce((sum, one) => sum + one.n, 0) < limit,
})

class PostgresOperator implements Operator {
  readonly #line: Line
  readonly #sql: ReturnType<typeof operatorStatements>
  readonly #payloads: boolean

  constructor(line: Line, sql: ReturnType<typeof operatorStatements>, payloads: boolean) {
    this.#line = line
    this.#sql = sql
    this.#payloads = payloads
  }

  async status(): Promise<OutboxStatus> {
    const [backlog] = await this.#ask<Backlog>(this.#sql.backlog())
    const holders = await this.#ask<Holder>(this.#sql.holders())
    const relays = await this.#ask<RelayState>(this.#sql.relays())
    const dead = await this.#ask<{ reason: string | null; n: number }>(this.#sql.dead())
    const { exactlyOnce } = await this.#mode()
    return { backlog: toBacklog(backlog!), leases: toLeases(holders), relays, exactlyOnce, dead: toDead(dead, countedDead) }
  }

  async otherOutboxes(): Promise<TableSet[] | null> {
    // Without tables that are dropped at that moment, without time: it is no reason to tell nothing of this outbox.
    return this.#line.rows<TableSet>(this.#sql.otherOutboxes(), otherOutboxesLimits).catch(() => null)
  }

  async database(): Promise<string> {
    const [row] = await this.#ask<{ name: string }>('SELECT current_database()::text AS name')
    return row!.name
  }

  relays(): Promise<RelayState[]> {
    return this.#ask(this.#sql.relays())
  }

  async sample(relayId: string): Promise<OutboxSample> {
    const heads = await this.#ask<Heads>(this.#sql.heads(relayId))
    const backlog = await this.#backlog(heads.find((one) => one.topic === null)!)
    const topics = heads.flatMap(({ topic, oldestMs, ownOldestMs }) =>
      topic === null ? [] : [{ topic, oldestMs: oldestMs!, ownOldestMs }],
    )
    const holders = await this.#ask<Holder>(this.#sql.holders())
    const relays = await this.#ask<RelayState>(this.#sql.relays())
    const dead = await this.#ask<{ reason: string | null; n: number; keys: number }>(this.#sql.sampleDead())
    const [horizon] = await this.#ask<Pick<OutboxSample, 'oldestTransactionMs' | 'deadRowShare' | 'deletedRows'>>(
      this.#sql.horizon(),
    )
    return {
      backlog: toBacklog(backlog),
      topics,
      leases: toLeases(holders),
      holders,
      relays,
      dead: toDead(dead, sampledDead),
      blockedKeys: dead.reduce((sum, one) => sum + (one.reason === null ? 0 : one.keys), 0),
      ...horizon!,
      ...(await this.#mode()),
    }
  }

  async #mode(): Promise<Pick<OutboxSample, 'format' | 'exactlyOnce'>> {
    const [found] = await this.#ask<RecordedBatches & { format: number }>(this.#sql.recorded())
    const { format, ...batches } = found!
    return { format, exactlyOnce: format === tableFormats.exactlyOnce ? batches : null }
  }

  /** Those that were looked at are all, or too many to be counted; where one bucket has more and the others few, they are counted. */
  async #backlog(heads: Heads): Promise<Backlog> {
    if (heads.fullest < sampledHeads || heads.counted > countedMessages) return heads
    const [all] = await this.#ask<Pick<Backlog, 'counted'>>(this.#sql.counted())
    return { ...heads, ...all! }
  }

  list(which: Selection & Look & { dead: boolean; limit: number }): Promise<ListedMessage[]> {
    const { dead, limit } = which
    return this.#ask(dead ? this.#sql.listDead(which, limit, which) : this.#sql.listWaiting(which, limit, which))
  }

  deadGroups(depth: number): Promise<DeadGroup[]> {
    return this.#ask(this.#sql.deadGroups(depth))
  }

  async show(
    messageId: string,
    withPayload: boolean,
    { place, mostBytes = shownBytes }: Parameters<Operator['show']>[2] = {},
  ): Promise<ShownMessage | null> {
    if (withPayload && !this.#payloads) {
      throw new OutboxError('MISSING_RIGHTS', 'The database role may not read payloads and headers.', {
        remedy: 'Grant the role outbox_payload of ops/grants.sql.',
      })
    }
    const [row] = await this.#ask<ShownMessage>(this.#sql.show(messageId, withPayload, mostBytes, place))
    return row ?? null
  }

  choose({ limit, after = 0, ...which }: Selection & Portion, action: 'redrive' | 'discard'): Promise<ListedMessage[]> {
    return this.#ask(this.#sql.choose(this.#sql[action](which, { limit, after })))
  }

  names({ limit, after = 0, ...which }: Selection & Portion): Promise<RowName[]> {
    return this.#ask(this.#sql.chosenNames(this.#sql.discard(which, { limit, after })))
  }

  keys({ limit, after = 0, ...which }: Selection & Portion): Promise<DeadKey[]> {
    return this.#ask(this.#sql.chosenKeys(this.#sql.redrive(which, { limit, after })))
  }

  async reach({ limit, after = 0, ...which }: Selection & Portion, action: 'redrive' | 'discard'): Promise<Reach> {
    const [row] = await this.#ask<Reach>(this.#sql.reach(this.#sql[action](which, { limit, after })))
    return row!
  }

  async request(rows: readonly RowName[], action: 'redrive' | 'discard', by: string): Promise<void> {
    const [{ names } = { names: false }] = await this.#ask<{ names: boolean }>(this.#sql.namesAuthor())
    for (let at = 0; at < rows.length; at += requestRows) {
      await this.#ask(this.#sql.request(rows.slice(at, at + requestRows), action, { by, names }))
    }
  }

  unanswered(rows: readonly RowName[], action: 'redrive' | 'discard'): Promise<RowName[]> {
    return this.#ask(this.#sql.unanswered(rows, action))
  }

  outcomes(keys: readonly DeadKey[]): Promise<RedriveOutcome[]> {
    return this.#ask(this.#sql.outcomes(keys))
  }

  async #ask<T>(sql: string): Promise<T[]> {
    try {
      return await this.#line.rows<T>(sql)
    } catch (error) {
      throw explained(error)
    }
  }

  close(): void {
    this.#line.close()
  }
}
