import type { Socket } from 'node:net'
import pg from 'pg'
import { within } from '../../running/within.ts'
import { CopyOut } from './copy.ts'
import { constant, ownPath } from './sql.ts'

/** Settings of one statement; they end with it. */
export interface StatementLimits {
  /** Milliseconds until the server gives up on the statement. */
  statementTimeoutMs: number
  /** Milliseconds until the server gives up on a lock. */
  lockTimeoutMs: number
  /** Reject at the first lock time-out: the caller has another way. */
  givesWay?: boolean
}

/** Codes of statements that lost against another one and may simply be sent again: deadlock, lock time-out, serialization. */
const again = new Set(['40P01', '55P03', '40001'])

/** Time that an answer may take beyond the server's own time-out, in milliseconds: more means that the connection is dead. */
const graceMs = 3_000

/** Number of settings in front of every statement; each has a result of its own. */
const settingsCount = 9

/** SQL state of a PostgreSQL error, or the code of a network error. */
export const codeOf = (error: unknown): string | undefined =>
  typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined

/** Parses a connection URL for `pg`, without the parameters that belong to Prisma (`schema`, `connection_limit`, …). */
export function connectionConfig(databaseUrl: string): pg.ClientConfig {
  const url = new URL(databaseUrl)
  useSslAccept(url)
  const prismaOnly = [
    'schema',
    'connection_limit',
    'pool_timeout',
    'pgbouncer',
    'connect_timeout',
    'socket_timeout',
    'statement_cache_size',
  ]
  for (const name of prismaOnly) url.searchParams.delete(name)
  return {
    connectionString: url.href,
    application_name: 'prisma-extension-outbox',
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  }
}

/** Turns Prisma's word for the check of certificates into that of `pg`; without it `pg` would pass it over. */
function useSslAccept(url: URL): void {
  const { searchParams: given } = url
  const [accept, mode] = [given.get('sslaccept'), given.get('sslmode')]
  given.delete('sslaccept')
  if (accept === 'strict') given.set('sslmode', 'verify-full')
  if (accept === 'accept_invalid_certs' && mode !== 'disable') given.set('sslmode', 'no-verify')
}

/**
 * One connection that does one statement after another. A statement without answer in time destroys it: behind a black hole neither side
 * would ever say so.
 * Keeps rule 6 of docs/protocol.md.
 */
export class Line {
  readonly #client: pg.Client
  readonly #limits: StatementLimits
  readonly #onLost: (error: Error) => void
  #last: Promise<unknown> = Promise.resolve()
  #lost: Error | undefined

  private constructor(client: pg.Client, limits: StatementLimits, onLost: (error: Error) => void) {
    this.#client = client
    this.#limits = limits
    this.#onLost = onLost
    client.on('error', (error) => this.#lose(error))
    client.on('end', () => this.#lose(new Error('The database closed the connection.')))
  }

  /** Connects; `onLost` is called once when the connection breaks. */
  static async open(config: pg.ClientConfig, limits: StatementLimits, onLost: (error: Error) => void): Promise<Line> {
    const client = new pg.Client(config)
    client.on('error', () => {})
    await client.connect()
    return new Line(client, limits, onLost)
  }

  /** Sends SQL and gives the rows of its last statement. Lost races (deadlock, lock time-out) are tried again, at once and a few times. */
  async rows<T>(sql: string, limits: Partial<StatementLimits> = {}): Promise<T[]> {
    return (await this.results(sql, limits)).at(-1) as T[]
  }

  /** As {@link rows}, but gives the rows of every statement, in their order. */
  async results(sql: string, limits: Partial<StatementLimits> = {}): Promise<unknown[][]> {
    return (await this.#results(sql, limits)).map((result) => result.rows)
  }

  /** As {@link rows}, but gives how many rows the last statement has written, as the server counts them. */
  async affected(sql: string, limits: Partial<StatementLimits> = {}): Promise<number> {
    return (await this.#results(sql, limits)).at(-1)?.rowCount ?? 0
  }

  async #results(sql: string, limits: Partial<StatementLimits>): Promise<pg.QueryResult[]> {
    for (let left = 5; ; left--) {
      try {
        return await this.#inTurn(limits, async (text) => {
          const results = (await this.#client.query(text)) as unknown as pg.QueryResult[]
          return results.slice(settingsCount)
        })(sql)
      } catch (error) {
        const code = codeOf(error) ?? ''
        if (left === 0 || !again.has(code) || (limits.givesWay && code === '55P03')) throw error
      }
    }
  }

  /** As a Prisma client does it: the rows of a statement with values. For what is written for such a client, as the inbox is. */
  $queryRaw<T>(strings: TemplateStringsArray, ...values: unknown[]): Promise<T> {
    return this.rows(String.raw({ raw: strings }, ...values.map(constant))) as Promise<T>
  }

  /** As {@link $queryRaw}, but gives how many rows were written. */
  $executeRaw(strings: TemplateStringsArray, ...values: unknown[]): Promise<number> {
    return this.affected(String.raw({ raw: strings }, ...values.map(constant)))
  }

  /** Runs `COPY … TO STDOUT (FORMAT binary)` and hands each row to `onRow`. */
  copy(sql: string, onRow: (data: Buffer, at: number) => void): Promise<void> {
    return this.#inTurn({}, (text) => {
      const copy = new CopyOut(text, onRow)
      this.#client.query(copy as unknown as pg.Submittable)
      return copy.done
    })(sql)
  }

  /** Closes the connection; what is under way is broken off. */
  close(): void {
    this.#lost ??= new Error('The session was closed.')
    void this.#client.end().catch(() => {})
    this.#destroy()
  }

  #inTurn<T>(limits: Partial<StatementLimits>, send: (text: string) => Promise<T>): (sql: string) => Promise<T> {
    return (sql) => {
      const { statementTimeoutMs, lockTimeoutMs } = { ...this.#limits, ...limits }
      // default_transaction_isolation and plan settings of role, database or pooler must not reach a statement of ours. jit: before
      // PostgreSQL 18 a plan that must use what is switched off, as the read of a sequence must, counts as so costly that it is compiled
      // each time, which takes a hundred times as long as the statement.
      const settings = `SET TRANSACTION ISOLATION LEVEL READ COMMITTED;SET LOCAL statement_timeout=${statementTimeoutMs};SET LOCAL lock_timeout=${lockTimeoutMs};SET LOCAL enable_bitmapscan=off;SET LOCAL enable_seqscan=off;SET LOCAL jit=off;SET LOCAL synchronous_commit=on;SET LOCAL row_security=off;${ownPath}`
      const turn = this.#last.then(() => {
        if (this.#lost) throw this.#lost
        return within(send(settings + sql), statementTimeoutMs + graceMs, (ms) => this.#late(ms))
      })
      this.#last = turn.catch(() => {})
      return turn
    }
  }

  /** Why a statement has no answer; there will be none for those after it either. */
  #late(ms: number): Error {
    const error = new Error(`The database did not answer within ${ms} ms.`)
    this.#lose(error)
    return error
  }

  #lose(error: Error): void {
    if (this.#lost) return
    this.#lost = error
    this.#destroy()
    this.#onLost(error)
  }

  /** `end()` alone would wait for a peer that may never answer. */
  #destroy(): void {
    const { connection } = this.#client as unknown as { connection?: { stream?: Socket } }
    connection?.stream?.destroy()
  }
}
