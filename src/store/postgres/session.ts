import type { OutboxError } from '../../message/errors.ts'
import type {
  Discarded,
  Fetch,
  Fetched,
  FreedKey,
  Hold,
  Lease,
  Moved,
  OutboxRow,
  Parking,
  Pulse,
  Redriven,
  RowName,
  StoreSession,
  TakenLease,
  Wished,
} from '../store.ts'
import type { Line } from './line.ts'
import type { Drawn, SettledMark } from './mark.ts'
import { decodeRow } from './row.ts'
import type { Statements } from './statements.ts'

/** The connections of a session: they live and die together. */
export interface Lines {
  /** Reads rows. */
  read: Line
  /** Settles, parks, redrives: one statement after another, so that they never wait for each other's locks. */
  write: Line
  /** Heartbeats, leases, mark: a renewal must not queue behind a large read or delete. */
  lease: Line
}

/** A hold as SQL gives it; `from` and `to` are null unless ids have restarted. */
interface HoldRow {
  bucket: number
  topic: string
  key: Buffer
  id: string
  from: string | null
  to: string | null
}

const rangeOf = (from: string | null, to: string | null) =>
  from === null ? {} : { goesOn: { from: Number(from), to: Number(to) } }

const toLease = (row: { bucket: number; epoch: string }): Lease => ({ bucket: row.bucket, epoch: Number(row.epoch) })

/** {@link StoreSession} on three connections to PostgreSQL. */
export class PostgresSession implements StoreSession {
  readonly lost: Promise<Error>
  readonly behind: OutboxError | undefined
  readonly #lines: Lines
  readonly #sql: Statements
  readonly #mark: SettledMark
  readonly #parkLimits: { statementTimeoutMs: number; lockTimeoutMs: number }

  constructor(
    lines: Lines,
    sql: Statements,
    mark: SettledMark,
    { lost, behind, leaseMs }: { lost: Promise<Error>; behind: OutboxError | undefined; leaseMs: number },
  ) {
    this.#lines = lines
    this.#sql = sql
    this.#mark = mark
    this.lost = lost
    this.behind = behind
    // A park that waits longer than its lease lasts can only find out that it is too late.
    this.#parkLimits = { statementTimeoutMs: Math.floor(leaseMs / 2), lockTimeoutMs: Math.floor(leaseMs / 4) }
  }

  async beat(me: { alive: boolean; ackedMsAgo: number | null }): Promise<Pulse> {
    // In the same message: an idle relay asks the database no more often.
    const results = await this.#lines.lease.results(`${this.#sql.beat(me.alive, me.ackedMsAgo)};${this.#mark.question()}`)
    const [[row], [drawn]] = results.slice(-2) as [{ peers: number; acked: number | null; ends: number | null }[], Drawn[]]
    this.#mark.answer(drawn!)
    return { relays: row!.peers + 1, peerAckedMsAgo: row!.acked, peerEndsInMs: row!.ends }
  }

  async take(count: number): Promise<TakenLease[]> {
    const rows = await this.#lines.lease.rows<{ bucket: number; epoch: string; abandoned: boolean }>(this.#sql.take(count))
    return rows.map((row) => ({ ...toLease(row), abandoned: row.abandoned }))
  }

  async deaths(withinMs: number): Promise<number> {
    const [row] = await this.#lines.lease.rows<{ n: number }>(this.#sql.deaths(withinMs))
    return row!.n
  }

  async retake(): Promise<Lease[]> {
    return (await this.#lines.lease.rows<{ bucket: number; epoch: string }>(this.#sql.retake())).map(toLease)
  }

  async renew(leases: readonly Lease[]): Promise<Lease[]> {
    if (leases.length === 0) return []
    return (await this.#lines.lease.rows<{ bucket: number; epoch: string }>(this.#sql.renew(leases))).map(toLease)
  }

  async owned(): Promise<Lease[]> {
    return (await this.#lines.lease.rows<{ bucket: number; epoch: string }>(this.#sql.owned())).map(toLease)
  }

  async release(leases: readonly Lease[]): Promise<void> {
    if (leases.length > 0) await this.#lines.lease.rows(this.#sql.release(leases))
  }

  async holds(buckets: readonly number[]): Promise<Hold[]> {
    if (buckets.length === 0) return []
    const rows = await this.#lines.lease.rows<HoldRow>(this.#sql.holds(buckets))
    return rows.map(({ bucket, topic, key, id, from, to }) => ({ bucket, topic, key, id: Number(id), ...rangeOf(from, to) }))
  }

  async fetch(what: Fetch): Promise<Fetched> {
    const rows: OutboxRow[] = []
    let bytes = 0
    let truncated = false
    await this.#lines.read.copy(this.#sql.fetch(what), (data, at) => {
      if (truncated) return
      const row = decodeRow(data, at, what.maxRowBytes)
      if (!row.oversized) bytes += row.bytes
      rows.push(row)
      truncated = bytes >= what.maxBytes
    })
    return { rows, truncated }
  }

  mark(): Promise<number> {
    return this.#mark.read()
  }

  async remaining(upTo: number): Promise<number> {
    const [row] = await this.#lines.lease.rows<{ n: number }>(this.#sql.remaining(upTo))
    return row!.n
  }

  lastId(): Promise<number> {
    return this.#mark.lastId()
  }

  async settle(rows: readonly RowName[]): Promise<void> {
    await this.#lines.write.rows(this.#sql.settle(rows))
  }

  park(lease: Lease, row: RowName, why: Parking): Promise<Moved> {
    return this.#move(this.#sql.park(lease, row, why))
  }

  moveBehind(lease: Lease, rows: readonly (RowName & { head: number })[]): Promise<Moved> {
    return this.#move(this.#sql.moveBehind(lease, rows))
  }

  async wished(buckets: readonly number[]): Promise<Wished[]> {
    return buckets.length === 0 ? [] : this.#lines.lease.rows<Wished>(this.#sql.wished(buckets))
  }

  async redrive(lease: Lease, most: { asked: number; rows: number }): Promise<Redriven> {
    const found = await this.#granted<Redriven>(this.#sql.redrive(lease, most))
    return { ...found, tooMany: found.tooMany && !found.fenced }
  }

  discard(lease: Lease): Promise<Discarded> {
    return this.#granted<Discarded>(this.#sql.discard(lease))
  }

  async notify(payload: string): Promise<void> {
    await this.#lines.lease.rows(this.#sql.notify(payload))
  }

  async farewell(): Promise<void> {
    await this.#lines.lease.rows(this.#sql.farewell())
  }

  async close(): Promise<void> {
    for (const line of Object.values(this.#lines)) (line as Line).close()
  }

  async #move(sql: string): Promise<Moved> {
    const [row] = await this.#lines.write.rows<{ mine: number; ids: string[] }>(sql, this.#parkLimits)
    return { fenced: row!.mine === 0, ids: row!.ids.map(Number) }
  }

  async #granted<T>(sql: string): Promise<T> {
    type Key = { topic: string; key: string; next: number | null; from: string | null; to: string | null }
    type Row = Omit<T, 'fenced' | 'keys'> & { mine: number; keys: Key[] }
    const [row] = await this.#lines.write.rows<Row>(sql, this.#parkLimits)
    const { mine, keys, ...rest } = row!
    const freed = keys.map(
      ({ topic, key, next, from, to }): FreedKey => ({ topic, key: Buffer.from(key, 'hex'), next, ...rangeOf(from, to) }),
    )
    return { ...rest, fenced: mine === 0, keys: freed } as T
  }
}
