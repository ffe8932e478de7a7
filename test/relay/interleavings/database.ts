import { bucketCount, bucketOf } from '../../../src/message/key.ts'
import type { NamedBatch, OutboxRow } from '../../../src/store/store.ts'

/** A row of outbox_dead_letter. */
export interface DeadRow {
  row: OutboxRow
  reason: string | null
  blocksKey: boolean
  action: 'redrive' | 'discard' | null
}

/** A transaction of the application. */
export interface Writing {
  /** As pg_locks names it. */
  readonly vxid: string
  readonly rows: OutboxRow[]
}

/** A lease row. */
export interface LeaseRow {
  owner: string | null
  epoch: number
  until: number
  leaseMs: number
}

/** The tables, the sequence and the clock of the database. What is done here is done in one moment. */
export class Database {
  readonly outbox = new Map<string, OutboxRow>()
  readonly dead: DeadRow[] = []
  readonly leases: LeaseRow[] = Array.from({ length: bucketCount }, () => ({ owner: null, epoch: 0, until: 0, leaseMs: 10_000 }))
  readonly relays = new Map<
    string,
    { seen: number; acked: number | null; answered: number | null; started: number; leaseMs: number }
  >()
  readonly writers = new Set<Writing>()
  /** Recorded batches by their names, and the contents of all that were ever recorded. */
  readonly batches = new Map<string, NamedBatch>()
  readonly recorded = new Map<string, string>()
  /** Buckets whose lease row somebody has locked. */
  readonly locked = new Set<number>()
  sequence = 0
  started = 1
  up = true
  /** How far its clock is ahead of the world's, in milliseconds. */
  offset = 0
  #nextWriter = 0
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  get now(): number {
    return this.#now() + this.offset
  }

  begin(): Writing {
    const writing = { vxid: `${this.started}/${++this.#nextWriter}`, rows: [] }
    return writing
  }

  /** An INSERT locks the table before it draws its id. */
  insert(writing: Writing, topic: string, key: string | null, bytes: number): OutboxRow {
    this.writers.add(writing)
    const id = ++this.sequence
    const keyBytes = key === null ? null : Buffer.from(key)
    const messageId = `00000000-0000-4000-8000-${String(this.started).padStart(4, '0')}${String(id).padStart(8, '0')}`
    const row: OutboxRow = {
      bucket: bucketOf(topic, keyBytes),
      id,
      messageId,
      topic,
      type: null,
      key: keyBytes,
      value: Buffer.from('{}'),
      headers: null,
      createdAt: 0,
      bytes,
      oversized: false,
    }
    writing.rows.push(row)
    return row
  }

  commit(writing: Writing): void {
    this.writers.delete(writing)
    for (const row of writing.rows) this.outbox.set(nameOf(row), row)
  }

  rollBack(writing: Writing): void {
    this.writers.delete(writing)
  }

  /** The server is restarted: what was not committed is gone, and its ids come again. */
  restart(): void {
    this.started++
    for (const writing of [...this.writers]) this.rollBack(writing)
    const ids = [...this.outbox.values(), ...this.dead.map((dead) => dead.row)].map((row) => row.id)
    this.sequence = Math.max(this.floor, ...ids)
  }

  /** The highest id of a row that was ever committed: the sequence never goes behind it. */
  floor = 0

  mine(bucket: number, owner: string, epoch: number): boolean {
    const lease = this.leases[bucket]!
    return lease.owner === owner && lease.epoch === epoch
  }

  /** Whether a dead row heads its key. */
  isHead = (dead: DeadRow): boolean => dead.blocksKey && dead.row.key !== null
}

/** Primary key of the outbox. */
export const nameOf = (row: { bucket: number; id: number }): string => `${row.bucket}/${row.id}`

/** Topic and key, as one text. */
export const keyOf = (row: { topic: string; key: Uint8Array | null }): string =>
  `${row.topic}/${row.key === null ? '' : `=${Buffer.from(row.key).toString()}`}`
