import type { TableSet } from '../message/tables.ts'
import type { RowName, Trouble } from './store.ts'

/** A relay as the heartbeat table knows it. Times in milliseconds before now, by the database's clock. */
export interface RelayState {
  name: string
  version: string
  startedMsAgo: number
  seenMsAgo: number
  /** Null: Kafka has not acknowledged anything to it yet. */
  ackedMsAgo: number | null
  /** When a broker last answered it, to any request; null: not yet. */
  answeredMsAgo: number | null
  /** Alive, and no broker has answered it for a lease time. */
  withoutKafka: boolean
  /** Topics and partitions that it cannot serve, at most 20. */
  trouble: Trouble[]
  /** Buckets whose lease it holds. */
  buckets: number
  /** Heartbeat within a lease time. */
  alive: boolean
}

/** Who holds a bucket. */
export interface Holder {
  bucket: number
  /** Name of the relay whose lease it was last, or its id where it has no heartbeat; null: it was given back, or never held. */
  relay: string | null
  /** The lease was not given back and has run out, or ends later than any lease may, or its owner is no relay that is alive. */
  expired: boolean
}

/** Batches of the exactly-once mode that Kafka has not acknowledged. */
export interface RecordedBatches {
  /** How many there are: at most one a partition while all is well. */
  waiting: number
  /** Milliseconds since the oldest was recorded, by the database's clock; null: there is none. */
  oldestMs: number | null
}

/** How the outbox stands. */
export interface OutboxStatus {
  backlog: {
    /** Messages that wait for Kafka. */
    messages: number
    /** False when there are more than 10,000: then it is an estimate. */
    exact: boolean
    /** Age of the oldest waiting message in milliseconds; null when none waits. */
    oldestMs: number | null
  }
  leases: {
    /** Buckets that a relay holds. */
    held: number
    /** Buckets whose lease has run out without being given back. */
    expired: number
    /** Buckets that nobody holds. */
    free: number
  }
  relays: RelayState[]
  /** Of the exactly-once mode; null: the relays are in plain mode. */
  exactlyOnce: RecordedBatches | null
  dead: {
    /** Messages refused for good, by reason. */
    byReason: Record<string, number>
    /** Messages that wait behind one of them. */
    blocked: number
    /** False when there are 100,000 or more: only so many were counted. */
    exact: boolean
  }
}

/** How the outbox stood at one moment, for metrics: cheap however much waits. Times in milliseconds, by the database's clock. */
export interface OutboxSample {
  /** As in {@link OutboxStatus}. */
  backlog: OutboxStatus['backlog']
  /** Topics among the first 160 messages of each bucket: how old the oldest message of each is. */
  topics: {
    topic: string
    oldestMs: number
    /** The same among the buckets that the relay that asks holds; null when none waits there. */
    ownOldestMs: number | null
  }[]
  leases: OutboxStatus['leases']
  /** All buckets, in their order. */
  holders: Holder[]
  relays: RelayState[]
  /** As in {@link OutboxStatus}. */
  exactlyOnce: RecordedBatches | null
  /** As in {@link OutboxStatus}, but counted to 10,000. */
  dead: OutboxStatus['dead']
  /** Keys that wait behind a dead message, among those counted. */
  blockedKeys: number
  /** Age of the oldest transaction that keeps VACUUM from this database's dead rows; null when the role may not see it. */
  oldestTransactionMs: number | null
  /** Share of dead rows in the table `outbox`, 0 to 1, as the statistics have it. */
  deadRowShare: number
  /** Rows that were deleted from the table `outbox` since its statistics began, as they have it: how fast it grows is how fast messages leave. */
  deletedRows: number
  /** The highest table format in `outbox_lease`. */
  format: number
}

/** A message as a list shows it: never its payload. */
export interface ListedMessage extends RowName {
  /** `waiting` for Kafka, `dead`, `skipped`: dead, but its key went on, or `blocked` by a dead message of its key. */
  state: 'waiting' | 'dead' | 'skipped' | 'blocked'
  topic: string
  type: string | null
  /** Of a key over 64 KiB only the beginning. */
  key: Uint8Array | null
  /** Size of key, value and headers; null for a role that may not read them. */
  bytes: number | null
  ageMs: number
  /** Relay that holds the lease of its bucket, if one does. */
  claimedBy: string | null
  /** End of that lease, in milliseconds from now. */
  claimedForMs: number | null
  /** End of that lease by the database's clock, as RFC 3339. */
  claimedUntil: string | null
  reason: string | null
  requestedAction: 'redrive' | 'discard' | null
  /** Who asked for it: the login of the database, and in parentheses user@host as the command had it. */
  requestedBy: string | null
}

/** Everything about one message. */
export interface ShownMessage extends ListedMessage {
  /** Null also for a message that is {@link tooLarge}, and for a role that may not read headers. */
  headers: Record<string, string> | null
  /** Null for a tombstone, and as the headers are. */
  value: Uint8Array | null
  /** Headers and payload were left out because together with the key they are too large. */
  tooLarge: boolean
  error: string | null
  /** How many messages wait behind it. */
  blocked: number
  /** When it was enqueued by the database's clock, as RFC 3339. */
  createdAt: string
  /** When it was taken out of the way, as RFC 3339; null while it waits for Kafka. */
  diedAt: string | null
  /** Name of the relay that took it out of the way. */
  diedBy: string | null
}

/** How far a list looks, where a table may hold millions and somebody waits for the answer. */
export interface Look {
  /** Only so many rows of each bucket, or 64 times as many of the one bucket that a key belongs to. Default: all. */
  depth?: number | undefined
  /** From the highest ids down. @default false */
  newest?: boolean | undefined
}

/** Dead messages of one reason and topic. */
export interface DeadGroup {
  /** Null: they wait behind dead ones. */
  reason: string | null
  topic: string
  messages: number
  /** Age of the oldest in milliseconds. */
  oldestMs: number
  /** What was said of one of them, its beginning. */
  error: string | null
  /** Not all rows were looked at: there may be more. */
  cut: boolean
}

/** Which messages. All parts that are given must fit. */
export interface Selection {
  messageIds?: readonly string[] | undefined
  topic?: string | undefined
  key?: Uint8Array | undefined
  reason?: string | undefined
  /** Enqueued at least so many milliseconds ago. */
  olderThanMs?: number | undefined
  /** Enqueued at most so many milliseconds ago. */
  newerThanMs?: number | undefined
}

/** A part of what fits, in the order of the ids. */
export interface Portion {
  /** At most so many. */
  limit: number
  /** Only higher ids. @default 0 */
  after?: number
}

/** How much a request would touch. */
export interface Reach {
  /** Keys that come back as a whole; a message that holds no key counts as one. */
  keys: number
  messages: number
}

/** A key that waits behind a dead message, or a dead message that holds none, by its first row. */
export interface DeadKey extends RowName {
  /** The highest id of its messages. */
  last: number
  /** Name of topic and key, in hexadecimal digits; null: the message holds no key. */
  digest: string | null
}

/** What became of a key that was put back. Neither a reason nor waiting: all is published. */
export interface RedriveOutcome extends RowName {
  /** Why the first of its messages that is dead again is; null: none is. */
  reason: string | null
  /** Some of its messages still wait for Kafka. */
  waiting: boolean
}

/** What operators ask of the outbox, and the requests that they leave for the relays. Needs no lease. */
export interface Operator {
  status(): Promise<OutboxStatus>
  /**
   * Other outboxes of the database that have messages and no relay, at most 20; those that the role may not read are left out. Null: it cannot
   * be told.
   */
  otherOutboxes(): Promise<TableSet[] | null>
  /** Name of the database. */
  database(): Promise<string>
  /** The relays that have a heartbeat, and what they cannot serve. */
  relays(): Promise<RelayState[]>
  /** A sample for metrics; `relayId` says whose buckets are "own". */
  sample(relayId: string): Promise<OutboxSample>
  /** Waiting messages, oldest first; or, with `dead`, those taken out of the way. */
  list(which: Selection & Look & { dead: boolean; limit: number }): Promise<ListedMessage[]>
  /** Dead messages by reason and topic, the largest groups first; of each bucket only the first `depth` rows are looked at. */
  deadGroups(depth: number): Promise<DeadGroup[]>
  /**
   * One message, wherever it is; null when it is nowhere: published, discarded, or never there. There is no index on message ids: `place`
   * finds it at once, where it is known. A message over `mostBytes` (16 MiB by default) comes without headers and payload.
   */
  show(
    messageId: string,
    withPayload: boolean,
    look?: { place?: Pick<RowName, 'bucket' | 'id'> | undefined; mostBytes?: number },
  ): Promise<ShownMessage | null>
  /**
   * Dead messages that a request would be written on, the lowest ids first. For a redrive: the first of each key with a match, because a
   * key comes back as a whole. For a discard: those that were refused, or exactly those that are named by their ids.
   */
  choose(which: Selection & Portion, action: 'redrive' | 'discard'): Promise<ListedMessage[]>
  /** As {@link choose} for a discard, but only the names. */
  names(which: Selection & Portion): Promise<RowName[]>
  /** As {@link choose} for a redrive, but only the names of the keys. */
  keys(which: Selection & Portion): Promise<DeadKey[]>
  /** What the request would touch. */
  reach(which: Selection & Portion, action: 'redrive' | 'discard'): Promise<Reach>
  /** Writes the request on the rows, with who asked, and wakes the relays. */
  request(rows: readonly RowName[], action: 'redrive' | 'discard', by: string): Promise<void>
  /** Of these rows, those on which the request still stands: no relay has answered yet. */
  unanswered(rows: readonly RowName[], action: 'redrive' | 'discard'): Promise<RowName[]>
  /** What became of keys whose redrive was answered. */
  outcomes(keys: readonly DeadKey[]): Promise<RedriveOutcome[]>
  close(): void
}
