import type { OutboxError } from '../../message/errors.ts'
import { bucketCount } from '../../message/key.ts'
import type { TableSet } from '../../message/tables.ts'
import {
  type BatchName,
  type BatchState,
  type BatchWork,
  type Beat,
  type BlockedKey,
  type BlockedKeyPosition,
  type DeadLetteredStrays,
  type Discarded,
  type Fetch,
  type Fetched,
  type FreedKey,
  type Identity,
  isLocked,
  type Lease,
  type ModeEntry,
  type Moved,
  type OperatorRequest,
  type OutboxRow,
  type Pulse,
  type RecordedBatch,
  type Redriven,
  type Refusal,
  type RowName,
  type StoreSession,
  type TakenLease,
  type Unsettled,
} from '../store.ts'
import { bucketsOf, checksumOf, decodeRows } from './batch-rows.ts'
import type { Line, StatementLimits } from './line.ts'
import type { Drawn, LowWaterMark } from './low-water-mark.ts'
import { otherOutboxesLimits } from './other-outboxes.ts'
import { decodeRow } from './row.ts'
import type { Statements } from './statements.ts'

/**
 * Milliseconds that a delete or a move waits for a row that another transaction has locked. Relays lock for milliseconds; a person's
 * transaction may take hours, and there is another way: to leave the row for later.
 */
const rowLockMs = 100

/** The connections of a session: they live and die together. */
export interface Lines {
  /** Reads rows. */
  read: Line
  /** Settles, dead-letters, redrives: one statement after another, so that they never wait for each other's locks. */
  write: Line
  /** Heartbeats, leases, mark: a renewal must not queue behind a large read or delete. */
  lease: Line
  /**
   * Records batches, in the exactly-once mode, and renews leases there: a renewal skips rows that are locked, and records lock them nearly all the
   * time. Otherwise the one that writes.
   */
  record: Line
}

/** A hold as SQL gives it; `from` and `to` are null unless ids have restarted. */
interface BlockedKeyRow {
  bucket: number
  digest: Buffer
  id: string
  from: string | null
  to: string | null
}

const rangeOf = (from: string | null, to: string | null) =>
  from === null ? {} : { goesOn: { from: Number(from), to: Number(to) } }

const toLease = (row: { bucket: number; epoch: string }): Lease => ({ bucket: row.bucket, epoch: Number(row.epoch) })

/**
 * {@link StoreSession} on three connections to PostgreSQL, four in the exactly-once mode.
 * Keeps rule 26 of docs/protocol-exactly-once.md.
 */
export class PostgresSession implements StoreSession {
  readonly lost: Promise<Error>
  readonly behind: OutboxError | undefined
  readonly #lines: Lines
  readonly #sql: Statements
  readonly #mark: LowWaterMark
  readonly #moveLimits: StatementLimits
  readonly #renewing: Line

  constructor(
    lines: Lines,
    sql: Statements,
    mark: LowWaterMark,
    { lost, behind, me }: { lost: Promise<Error>; behind: OutboxError | undefined; me: Identity },
  ) {
    this.#lines = lines
    this.#sql = sql
    this.#mark = mark
    this.lost = lost
    this.behind = behind
    this.#renewing = me.exactlyOnce ? lines.record : lines.lease
    // A dead-letter that takes longer than its lease lasts can only find out that it is too late.
    this.#moveLimits = { statementTimeoutMs: Math.floor(me.leaseMs / 2), lockTimeoutMs: rowLockMs, givesWay: true }
  }

  async beat(me: Beat): Promise<Pulse> {
    type Row = { peers: number; answered: number | null; sharing: number; acked: number | null; ends: number | null }
    // In the same message: an idle relay asks the database no more often.
    const results = await this.#lines.lease.results(`${this.#sql.beat(me)};${this.#mark.question()}`)
    const [[row], [drawn]] = results.slice(-2) as [Row[], Drawn[]]
    this.#mark.answer(drawn!)
    const { peers, answered, sharing, acked, ends } = row!
    return { relays: peers + 1, peerAnsweredMsAgo: answered, sharing, peerAckedMsAgo: acked, peerEndsInMs: ends }
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
    return (await this.#renewing.rows<{ bucket: number; epoch: string }>(this.#sql.renew(leases))).map(toLease)
  }

  async owned(): Promise<Lease[]> {
    return (await this.#lines.lease.rows<{ bucket: number; epoch: string }>(this.#sql.owned())).map(toLease)
  }

  async release(leases: readonly Lease[]): Promise<number[]> {
    if (leases.length === 0) return []
    return (await this.#lines.lease.rows<{ bucket: number }>(this.#sql.release(leases))).map((row) => row.bucket)
  }

  async blockedKeys(
    buckets: readonly number[],
    from?: BlockedKeyPosition,
  ): Promise<{ keys: BlockedKey[]; next: BlockedKeyPosition | undefined }> {
    if (buckets.length === 0) return { keys: [], next: undefined }
    type Row = { bucket: number; id: string; messageId: string; more: boolean; digest: Buffer | null }
    const rows = await this.#lines.lease.rows<Row>(this.#sql.blockedKeys(buckets, from))
    const keys: BlockedKey[] = []
    for (const { bucket, id, digest } of rows) {
      if (digest) keys.push({ bucket, digest: digest.toString('latin1'), id: Number(id) })
    }
    const last = rows.at(-1)
    const next = last?.more ? { bucket: last.bucket, id: Number(last.id), messageId: last.messageId } : undefined
    return { keys, next }
  }

  async restartedBlockedKeys(buckets: readonly number[]): Promise<BlockedKey[]> {
    return buckets.length === 0 ? [] : this.#heads(this.#sql.restartedBlockedKeys(buckets))
  }

  async blockedKeysOf(bucket: number, digests: readonly string[]): Promise<BlockedKey[]> {
    return digests.length === 0 ? [] : this.#heads(this.#sql.blockedKeysOf(bucket, digests))
  }

  async fetch(what: Fetch): Promise<Fetched> {
    const rows: OutboxRow[] = []
    let bytes = 0
    let truncated = false
    const ended: number[] = []
    const onEnd = (bucket: number) => void ended.push(bucket)
    await this.#lines.read.copy(this.#sql.fetch(what), (data, at) => {
      if (truncated) return
      const row = decodeRow(data, at, what.maxRowBytes, onEnd)
      if (!row.oversized) bytes += row.bytes
      rows.push(row)
      truncated = bytes >= what.maxBytes
    })
    return { rows, truncated, ended }
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

  async settle(rows: readonly RowName[]): Promise<'done' | 'locked' | 'short'> {
    try {
      const deleted = await this.#lines.write.affected(this.#sql.settle(rows), { lockTimeoutMs: rowLockMs, givesWay: true })
      return deleted < rows.length ? 'short' : 'done'
    } catch (error) {
      if (isLocked(error)) return 'locked'
      throw error
    }
  }

  settleUnlocked(rows: readonly RowName[]): Promise<Unsettled[]> {
    return this.#lines.write.rows<Unsettled>(this.#sql.settleUnlocked(rows))
  }

  deadLetter(lease: Lease, row: RowName, why: Refusal): Promise<Moved> {
    return this.#move(this.#sql.deadLetter(lease, row, why))
  }

  async deadLetterStrays(lease: Lease): Promise<DeadLetteredStrays> {
    type Row = { mine: number; rows: DeadLetteredStrays['rows'] }
    const [row] = await this.#lines.write.rows<Row>(this.#sql.deadLetterStrays(lease), this.#moveLimits)
    return { fenced: row!.mine === 0, rows: row!.rows }
  }

  moveBlocked(lease: Lease, rows: readonly (RowName & { head: number })[]): Promise<Moved> {
    return this.#move(this.#sql.moveBlocked(lease, rows))
  }

  async requested(buckets: readonly number[]): Promise<OperatorRequest[]> {
    return buckets.length === 0 ? [] : this.#lines.lease.rows<OperatorRequest>(this.#sql.requested(buckets))
  }

  async redrive(lease: Lease, most: { asked: number; rows: number }): Promise<Redriven> {
    const found = await this.#granted<Redriven>(this.#sql.redrive(lease, most))
    return { ...found, tooMany: found.tooMany && !found.fenced }
  }

  discard(lease: Lease): Promise<Discarded> {
    return this.#granted<Discarded>(this.#sql.discard(lease))
  }

  async record(work: BatchWork): ReturnType<StoreSession['record']> {
    try {
      const limits = { lockTimeoutMs: rowLockMs, givesWay: true }
      const [row] = await this.#lines.record.rows<{ mask: string; withdrawn: number }>(this.#sql.record(work), limits)
      return { held: bucketsOf(BigInt(row!.mask)), withdrawn: row!.withdrawn }
    } catch (error) {
      if (isLocked(error)) return 'locked'
      throw error
    }
  }

  async batchesOf(buckets: readonly number[]): Promise<RecordedBatch[]> {
    if (buckets.length === 0) return []
    type Row = Omit<RecordedBatch, 'producerId' | 'rows' | 'whole' | 'cluster'> & { producerId: string; rows: Buffer }
    const found: RecordedBatch[] = []
    for (const { producerId, rows: names, ...batch } of await this.#lines.lease.rows<Row>(this.#sql.batchesOf(buckets))) {
      const { places, checksum, cluster } = decodeRows(names)
      const rows: OutboxRow[] = []
      await this.#lines.lease.copy(this.#sql.rowsAt(places), (data, at) => {
        rows.push(decodeRow(data, at, Number.POSITIVE_INFINITY))
      })
      const whole = rows.length === places.length && checksumOf(rows).equals(checksum)
      const one = { ...batch, producerId: BigInt(producerId), rows, whole, cluster }
      // Rows that are missing were deleted with their batch, or by hand.
      if (whole || (await this.batchState(one)) !== 'gone') found.push(one)
    }
    return found
  }

  async batchState(batch: BatchName): Promise<BatchState> {
    const [row] = await this.#lines.lease.rows<{ acknowledged: boolean }>(this.#sql.batchState(batch))
    return row ? (row.acknowledged ? 'acknowledged' : 'recorded') : 'gone'
  }

  async enterMode(): Promise<ModeEntry> {
    type Row = { n: number; others: boolean; recorded: boolean }
    const [row] = await this.#lines.lease.rows<Row>(this.#sql.enterMode())
    const { n, others, recorded } = row!
    if (n === bucketCount) return 'entered'
    return recorded && !others ? 'recorded' : 'others'
  }

  otherOutboxes(): Promise<TableSet[]> {
    // Not on the line of the leases: a renewal would wait.
    return this.#lines.write.rows<TableSet>(this.#sql.otherOutboxes(), otherOutboxesLimits)
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

  async #heads(sql: string): Promise<BlockedKey[]> {
    const rows = await this.#lines.lease.rows<BlockedKeyRow>(sql)
    return rows.map(({ bucket, digest, id, from, to }) => ({
      bucket,
      digest: digest.toString('latin1'),
      id: Number(id),
      ...rangeOf(from, to),
    }))
  }

  async #move(sql: string): Promise<Moved> {
    const [row] = await this.#lines.write.rows<{ mine: number; ids: string[] }>(sql, this.#moveLimits)
    return { fenced: row!.mine === 0, ids: row!.ids.map(Number) }
  }

  async #granted<T>(sql: string): Promise<T> {
    type Key = { topic: string; key: string; next: number | null; from: string | null; to: string | null }
    type Row = Omit<T, 'fenced' | 'keys'> & { mine: number; keys: Key[] }
    const [row] = await this.#lines.write.rows<Row>(sql, this.#moveLimits)
    const { mine, keys, ...rest } = row!
    const freed = keys.map(
      ({ topic, key, next, from, to }): FreedKey => ({ topic, key: Buffer.from(key, 'hex'), next, ...rangeOf(from, to) }),
    )
    return { ...rest, fenced: mine === 0, keys: freed } as T
  }
}
