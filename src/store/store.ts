import type { OutboxError } from '../message/errors.ts'
import type { TableSet } from '../message/tables.ts'

/** A row of the outbox as a relay reads it. */
export interface OutboxRow {
  /** 0 to 63. */
  readonly bucket: number
  /** Order within the bucket: 1 to 2^53 - 1. Rows with other ids are never read, see {@link StoreSession.deadLetterStrays}. */
  readonly id: number
  /** UUID of the message. */
  readonly messageId: string
  readonly topic: string
  readonly type: string | null
  readonly key: Uint8Array | null
  /** Null for a tombstone, and for a row that is {@link oversized}. */
  readonly value: Uint8Array | null
  readonly headers: Readonly<Record<string, string>> | null
  /** Milliseconds since 1970, by the database's clock. */
  readonly createdAt: number
  /** Size of key, value and headers in bytes, as stored. */
  readonly bytes: number
  /** Too large to carry: its value was not loaded, it can only be dead-lettered. */
  readonly oversized: boolean
}

/** A claim on a bucket: every write of the relay names it, and fails when it is not the newest. */
export interface Lease {
  readonly bucket: number
  /** Raised by each claim of the bucket. */
  readonly epoch: number
}

/** What identifies a row for good: after a failover ids can come a second time, message ids cannot. */
export type RowName = Pick<OutboxRow, 'bucket' | 'id' | 'messageId'>

/** Names a recorded batch: the numbers under which it is sent, by any relay. */
export interface BatchName {
  readonly producerId: bigint
  readonly epoch: number
  readonly topic: string
  readonly partition: number
  readonly sequence: number
}

/** A batch with its rows, in their order. */
export interface NamedBatch extends BatchName {
  readonly rows: readonly RowName[]
  /** Id of the cluster that gave the producer id, if that is known. */
  readonly cluster?: string | undefined
  /** By the clock of the relay that records it, Unix time in milliseconds. */
  readonly recordedAt: number
}

/** A recorded batch as the table has it. */
export interface RecordedBatch extends BatchName {
  /** Those of its rows that are there. */
  readonly rows: readonly OutboxRow[]
  /** Whether they are all of its rows. Otherwise somebody has deleted some. */
  readonly whole: boolean
  /** Kafka has it: its rows only wait to be deleted. */
  readonly acknowledged: boolean
  /** Unix time in milliseconds, by the clock of the database; by that of the relay that recorded it, if this was behind by more than an hour. */
  readonly recordedAt: number
  /** Milliseconds since then, by the clock of the database. */
  readonly ageMs: number
  /** {@link clusterMark} of the cluster that gave the producer id. */
  readonly cluster: string
}

/** Clocks of relay, database and brokers may differ by this much, in milliseconds. */
export const clocksMs = 3_600_000

/** `acknowledged`: Kafka has it, and rows of it wait to be deleted. */
export type BatchState = 'recorded' | 'acknowledged' | 'gone'

/** What {@link StoreSession.record} does, in one step. */
export interface BatchWork {
  /** Acknowledged rows to delete. */
  rows: readonly RowName[]
  /** Batches of which every row is deleted, now or earlier. */
  landed: readonly BatchName[]
  /** Batches that Kafka has and that have rows which cannot be deleted now. */
  acknowledged: readonly BatchName[]
  /** Batches that are in the log by no means, and are not to be sent under their numbers any more. Each needs a bucket of its rows. */
  withdrawn: readonly NamedBatch[]
  /** Batches that are about to be sent for the first time. Each needs all buckets of its rows. */
  begun: readonly NamedBatch[]
  /** The leases of `withdrawn` and `begun`. */
  leases: readonly Lease[]
}

/** An acknowledged row that could not be deleted. */
export interface Unsettled extends RowName {
  /** It has been deleted, and is there all the same; otherwise somebody has locked it. */
  readonly kept: boolean
}

/** A blocked key: later messages of that topic and key must wait behind a refused one. */
export interface BlockedKey {
  readonly bucket: number
  /** Topic and key, as `keyDigest` names them. */
  readonly digest: string
  /** Id of a dead row of the key: rows with a higher id wait, rows with a lower id than that of the first one go on. */
  readonly id: number
  /** Rows of the key that go on instead, when ids have restarted. */
  readonly goesOn?: IdRange
}

/** Where a portion of {@link StoreSession.blockedKeys} ended. */
export interface BlockedKeyPosition {
  readonly bucket: number
  readonly id: number
  readonly messageId: string
}

/** Ids from `from` to `to`, both included. */
export interface IdRange {
  readonly from: number
  readonly to: number
}

/** No id at all. */
export const noIds: IdRange = { from: Number.POSITIVE_INFINITY, to: Number.POSITIVE_INFINITY }

/**
 * The session has ended because the ids of the outbox have started from a lower number, or its table was replaced. Everything that the
 * relay knows of ids is void.
 */
export class IdsRestarted extends Error {
  override readonly name = 'IdsRestarted'
}

/** A bucket in which something other than publishing is to be done. */
export interface OperatorRequest {
  readonly bucket: number
  /** What an operator asked for; `dead-letter`: there are rows whose ids no relay can carry. */
  readonly action: 'redrive' | 'discard' | 'dead-letter'
}

/** A lease that was just taken. */
export interface TakenLease extends Lease {
  /** Another relay had it and let it run out: it died, or stood still. */
  readonly abandoned: boolean
}

/** A topic, or one partition of it, that a relay cannot serve at present. */
export interface Trouble {
  topic: string
  /** Null: the whole topic. */
  partition: number | null
  /** Kafka's name of the reason, or the client's. */
  code: string
}

/** What a relay tells with its heartbeat. */
export interface Beat {
  /** False withdraws the relay: it is about to end. */
  alive: boolean
  /** Milliseconds since Kafka last acknowledged something; null: not yet. */
  ackedMsAgo: number | null
  /** Milliseconds since a broker last answered, to any request; null: not yet, or it does not count. */
  answeredMsAgo: number | null
  /** What it cannot serve, at most 20. */
  trouble: readonly Trouble[]
}

/** What a heartbeat brings back. */
export interface Pulse {
  /** Relays alive, this one included. */
  relays: number
  /** Milliseconds since a broker last answered another living relay; null if none ever did. */
  peerAnsweredMsAgo: number | null
  /** Other living relays that a broker has answered within one lease time, or that started within one and have no answer yet. */
  sharing: number
  /** Milliseconds since another living relay had an acknowledgement from Kafka; null if none ever had. */
  peerAckedMsAgo: number | null
  /** Milliseconds until the first of the other living relays counts as dead, unless it gives another sign of life; null without others. */
  peerEndsInMs: number | null
}

/** One bucket of a {@link Fetch}. */
export interface Scan {
  bucket: number
  /** Rows above this id. */
  after: number
  /** Rows to return. */
  limit: number
  /** Rows to look at while topics are left out. */
  look: number
}

/** What to read. Rows come bucket by bucket in the order of `scans`, by id within a bucket. */
export interface Fetch {
  scans: readonly Scan[]
  /** Rows in all. */
  limit: number
  /**
   * Topics to leave out. Of each bucket no more than `look` rows are looked at for others; where a scan ends at that bound, the last row that
   * was looked at comes as well, of whatever topic, and the answer names its bucket.
   */
  withoutTopics: readonly string[]
  /** Ids to leave out. */
  withoutIds: readonly number[]
  /** Rows over this size are returned without their value, as oversized. */
  maxRowBytes: number
  /** Once the rows read so far have this size, the rest of the answer is thrown away. */
  maxBytes: number
}

/** Answer to a {@link Fetch}. */
export interface Fetched {
  rows: OutboxRow[]
  /** The answer was cut at `maxBytes`: what comes after the last row was not looked at. */
  truncated: boolean
  /** Buckets whose scan ended at its `look`: what comes after their last row was not looked at. @default none */
  ended?: readonly number[]
}

/** Whether a move was broken off because it took too long: its rows are too large, or the disk is too slow. */
export const isTooSlow = (error: unknown): boolean => (error as { code?: unknown } | null)?.code === '57014'

/** Whether a statement was broken off because somebody has locked a row that it needs. */
export const isLocked = (error: unknown): boolean => (error as { code?: unknown } | null)?.code === '55P03'

/** What a move between outbox and outbox_dead_letter found. */
export interface Moved {
  /** The lease is not ours any more: nothing was changed. */
  fenced: boolean
  /** Ids of the rows that were moved (or, for a dead-letter, stand there already). */
  ids: number[]
}

/** Why a row leaves the outbox. */
export interface Refusal {
  /** Code of the refusal. */
  reason: string
  /** The refusal in words. */
  error: string
  /** Whether later rows of its topic and key wait behind it. */
  blocksKey: boolean
}

/** A key some of whose dead rows were put back or dropped. */
export interface FreedKey {
  topic: string
  key: Uint8Array
  /** Id of the first row of the key that still waits; null when none does. */
  next: number | null
  /** As {@link BlockedKey.goesOn}. */
  goesOn?: IdRange
}

/** What a redrive moved. */
export interface Redriven {
  /** The lease is not ours any more: nothing was changed. */
  fenced: boolean
  /** What was put back, by topic: rows, keys (a row that holds nothing counts as one), lowest and highest id, and who asked for it. */
  topics: { topic: string; rows: number; keys: number; firstId: number; lastId: number; by: string | null }[]
  keys: FreedKey[]
  /** What was asked for is more than one statement moves: nothing was changed; ask for fewer requests at a time. */
  tooMany: boolean
  /** Topics of keys that stay because another message has one of their ids in the outbox. */
  clashes: string[]
}

/** Rows that were dead-lettered because no relay can carry their ids. */
export interface DeadLetteredStrays {
  /** The lease is not ours any more: nothing was changed. */
  fenced: boolean
  rows: { messageId: string; topic: string; error: string }[]
}

/** What a discard dropped. */
export interface Discarded {
  /** The lease is not ours any more: nothing was changed. */
  fenced: boolean
  /** The rows, and who asked for it. */
  rows: { id: number; messageId: string; topic: string; by: string | null }[]
  keys: FreedKey[]
}

/**
 * One working life of the database connections. Whatever goes wrong with one of them ends the whole session: `lost` resolves, every
 * call rejects, and the relay opens another one. No statement leaves state in a connection behind (PgBouncer in transaction mode), none
 * waits for Kafka, and all compare times in the database, by its clock.
 */
export interface StoreSession {
  /** Resolves with the cause when the session has ended on its own: an {@link IdsRestarted}, or a fault of the connection. */
  readonly lost: Promise<Error>
  /** The sequence of ids is behind the tables: SEQUENCE_BEHIND, with its remedy. Only for a relay that has served. */
  readonly behind?: OutboxError | undefined

  /**
   * Writes the heartbeat, adds lease rows that are missing, and counts relays. Rejects with {@link IdsRestarted}, and ends the session,
   * when ids have restarted since the last heartbeat.
   */
  beat(me: Beat): Promise<Pulse>
  /** Claims up to `count` buckets that are free or whose lease is over; each gets a new epoch. */
  take(count: number): Promise<TakenLease[]>
  /**
   * How many relays died within that time, in milliseconds: their heartbeat stopped and they did not withdraw it. Those that died within
   * one lease time count as one.
   */
  deaths(withinMs: number): Promise<number>
  /** Claims every bucket that this relay owns once more, under new epochs: statements of an older session can no longer write. */
  retake(): Promise<Lease[]>
  /** Prolongs the leases that still run; those that are returned. A row that somebody has locked is skipped, not waited for. */
  renew(leases: readonly Lease[]): Promise<Lease[]>
  /** The leases of this relay as the table has them. */
  owned(): Promise<Lease[]>
  /** Gives leases back; returns the buckets it gave back. A row that somebody has locked is skipped: ask again later. */
  release(leases: readonly Lease[]): Promise<number[]>

  /**
   * The dead rows of the given buckets that block their key, each as a hold, in the order of the buckets and ids: a portion of them, from `from`
   * on. `next` is where the next portion begins. A row that was dead-lettered without holding anything is none.
   */
  blockedKeys(
    buckets: readonly number[],
    from?: BlockedKeyPosition,
  ): Promise<{ keys: BlockedKey[]; next: BlockedKeyPosition | undefined }>
  /** Of these buckets the blocked keys that have rows from before the ids restarted, each with what goes on; they replace {@link holds}. */
  restartedBlockedKeys(buckets: readonly number[]): Promise<BlockedKey[]>
  /** Of one bucket the holds of the named keys, each with its first dead row. */
  blockedKeysOf(bucket: number, digests: readonly string[]): Promise<BlockedKey[]>
  /** Reads rows; one call at a time. */
  fetch(what: Fetch): Promise<Fetched>
  /**
   * The settled low-water mark: no row with a lower or equal id can appear any more, because every transaction that could have drawn such
   * an id is over. Valid for statements sent after the call returned.
   */
  mark(): Promise<number>
  /** How many rows with an id up to `upTo` are in the outbox; stops counting at 1,000. */
  remaining(upTo: number): Promise<number>
  /** The highest id drawn so far. */
  lastId(): Promise<number>

  /**
   * Deletes rows that Kafka has acknowledged. Rows that are gone already are no error. Needs no lease: acknowledged is acknowledged.
   * `locked` if somebody has locked one of them: nothing was deleted then. `short` if fewer rows were deleted than were named: some were
   * gone, or are there still.
   */
  settle(rows: readonly RowName[]): Promise<'done' | 'locked' | 'short'>
  /**
   * Deletes the acknowledged rows that nobody has locked, and returns those that are there afterwards. `kept`: nobody has locked it, so a
   * trigger or a rule keeps it. Costs about twice as much as {@link settle}.
   */
  settleUnlocked(rows: readonly RowName[]): Promise<Unsettled[]>
  /**
   * Moves one row that Kafka refused for good to outbox_dead_letter. As the other moves it rejects with {@link isTooSlow} where it takes longer than
   * a lease allows, and with {@link isLocked} if somebody has locked a row that it needs; nothing is changed then, and the session goes on.
   */
  deadLetter(lease: Lease, row: RowName, why: Refusal): Promise<Moved>
  /** Dead-letters rows of the bucket whose ids are below 1 or above 2^53 - 1, as INVALID_RECORD; at most 1,000. They hold no key. */
  deadLetterStrays(lease: Lease): Promise<DeadLetteredStrays>
  /** Moves rows behind the dead row of their topic and key with the id `head`; where that one is no more, a row stays where it is. */
  moveBlocked(lease: Lease, rows: readonly (RowName & { head: number })[]): Promise<Moved>
  /** Which of these buckets have requests of an operator, or rows for {@link deadLetterStrays}. */
  requested(buckets: readonly number[]): Promise<OperatorRequest[]>
  /**
   * Moves dead rows back to the outbox under their old ids, at most `rows`: what the first `asked` requests of the bucket ask for, at most as
   * many. A request on a row that holds its key brings back the whole key in id order. If that is more, nothing is moved, except for a single request:
   * there the next row carries it on. Rows from before the ids restarted are moved first; those of their key from after wait until they
   * have left the outbox, and so does one of two rows with the same id.
   */
  redrive(lease: Lease, most: { asked: number; rows: number }): Promise<Redriven>
  /** Deletes rows of the bucket that are to be dropped, at most 1,000. Where the head of a key was one, the next one is to be redriven. */
  discard(lease: Lease): Promise<Discarded>

  /**
   * Ends and begins recorded batches, in one step. `held` are the buckets whose leases are this relay's, and were locked until the step was durable:
   * what needed another one was not done. `withdrawn`: how many were. `locked` if somebody has locked a row that is to be deleted: nothing was done.
   */
  record(work: BatchWork): Promise<'locked' | { held: ReadonlySet<number>; withdrawn: number }>
  /** The recorded batches with rows of these buckets, the oldest first. */
  batchesOf(buckets: readonly number[]): Promise<RecordedBatch[]>
  /** What the table says of the batch. `gone`: it is not recorded. */
  batchState(batch: BatchName): Promise<BatchState>
  /**
   * Changes the mode of all leases to this relay's, if no lease of the other mode runs, and to `at least once` only if no batch is recorded. Returns
   * whether they have it, or what is in the way.
   */
  enterMode(): Promise<ModeEntry>
  /** Other outboxes of the database that have messages and no relay, at most 20; those that the role may not read are left out. */
  otherOutboxes?(): Promise<TableSet[]>
  /** Wakes all relays, this one included, if notifications come through. */
  notify(payload: string): Promise<void>
  /** Removes the heartbeat. */
  farewell(): Promise<void>
  /** Closes the connections. Idempotent, never rejects. */
  close(): Promise<void>
}

/** Whether the leases have the mode of a relay. `others`: a lease of the other mode runs, or a row is locked. `recorded`: only batches are left. */
export type ModeEntry = 'entered' | 'others' | 'recorded'

/** Who the relay is, for the tables. */
export interface Identity {
  /** UUID of this start of the relay. */
  id: string
  /** Name that operators read. */
  name: string
  /** Package version. */
  version: string
  /** Length of its leases in milliseconds. */
  leaseMs: number
  /** Its mode: it takes and renews leases of its own mode only. @default false */
  exactlyOnce?: boolean
  /** It has served before: a sequence that is behind is told ({@link StoreSession.behind}), not refused. @default false */
  served?: boolean
}

/** The way to the database. */
export interface Store {
  /**
   * Opens a session. Rejects with an `OutboxError` when this database can never serve (wrong login, tables missing, a replica, …) and with
   * any other error when it may serve later.
   */
  connect(me: Identity): Promise<StoreSession>
  /**
   * Calls `onNotify` with the payload of every notification until `signal` aborts; keeps itself connected, and calls `onLost` when it is
   * not any more: what is notified until it is again goes unheard. Returns at once. Databases and poolers may not let notifications
   * through: nothing may depend on them.
   */
  listen(onNotify: (payload: string) => void, onLost: () => void, signal: AbortSignal): void
}
