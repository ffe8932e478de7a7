import { createHash } from 'node:crypto'

// What a history of a run is made of. Written by the writers, the dumps and the traces of a run; read by the checks.

/** Milliseconds of the machine's monotonic clock: one scale for all processes, so that traces and writers can be compared. */
export type MonotonicMs = number

/** Now, on the machine's monotonic clock. `performance.now()` counts from the start of its process, which no other process knows exactly. */
export const monotonicMs = (): MonotonicMs => Number(process.hrtime.bigint()) / 1e6

/** Half of the SHA-256 of bytes, in hexadecimal; `null` for a tombstone. Two values with one fingerprint are the same bytes. */
export const fingerprint = (bytes: Uint8Array | null): string =>
  bytes === null ? 'null' : createHash('sha256').update(bytes).digest('hex').slice(0, 32)

/** Bytes as text, one character each. */
export const latin1 = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1')

/** A message as its writer meant it. Bytes of a key are written as latin1 text: every byte one character, and readable where it is ASCII. */
export interface WrittenMessage {
  /** UUID of the message: the same in the outbox, in the ledger and in every copy in Kafka. */
  id: string
  topic: string
  key: string | null
  /**
   * Position in the line of its topic and key, from 1, drawn under a row lock in the message's own transaction. Null: the writer did not
   * serialize, and only intervals tell what must come first.
   */
  n: number | null
  /** {@link fingerprint} of the value. */
  value: string
  /** Headers of the record, without `created-at`, which the database writes. */
  headers: Record<string, string>
  /** When enqueue was called. */
  enqueuedAt: MonotonicMs
}

/**
 * A transaction of a writer. `ok`: its commit was acknowledged. `fail`: it rolled back, or never came to its commit. `info`: the connection
 * was lost at the commit, and only the ledger knows.
 */
export interface Attempt {
  number: number
  /** How the messages were written: by the extension, or by the SQL that it writes. */
  way: string
  invokedAt: MonotonicMs
  /** When the writer heard how it ended. */
  endedAt: MonotonicMs
  outcome: 'ok' | 'fail' | 'info'
  /** In the order of the enqueues. */
  messages: WrittenMessage[]
}

/** A row that a transaction wrote beside its message: the truth about what was committed. */
export interface LedgerRow {
  id: string
  topic: string
  key: string | null
  n: number | null
  value: string
}

/** One record as it stands in the log. */
export interface ReadRecord {
  topic: string
  partition: number
  offset: number
  /** Header `id`; null when the record has none. */
  id: string | null
  key: string | null
  value: string
  headers: Record<string, string>
  producerId?: string
  producerEpoch?: number
}

/** Every record of the topics, read from offset 0 to the end, in the order of topic, partition and offset. */
export interface Dump {
  isolation: 'read_uncommitted' | 'read_committed'
  records: readonly ReadRecord[]
}

/** What is promised about a topic, and what a fault has taken back. */
export interface TopicState {
  name: string
  /** Its numbers of partitions, in turn; more than one: order of a key across the growth is not promised. */
  partitions: readonly number[]
  /** It was deleted and created again: what was lost with it is not the relay's loss, and its offsets came twice. */
  deleted: boolean
  /** From this moment on every relay must use the last number of partitions, where a fault that grows the topic tells so. */
  usedFrom?: MonotonicMs
}

/** Bucket and epoch of a lease. */
export type LeaseName = readonly [bucket: number, epoch: number]

/** Numbers of a batch as a text: producer id, epoch, topic, partition, first sequence. */
export type BatchKey = string

/** A recorded batch with the message ids of its rows, in their order, and their buckets. */
export interface TracedBatch {
  batch: BatchKey
  ids: readonly string[]
  buckets: readonly number[]
}

/**
 * One step of a relay, written by its process at the moment of the step. What is about to be done to the outside (`publishes`, `settles`,
 * `releases`, `dead-letters`) is on the disk before it is done, so that a SIGKILL takes no evidence with it.
 */
export type TraceLine = { at: MonotonicMs } & (
  | { what: 'began'; relay: string; pid: number }
  /** Leases were granted or prolonged; `until` is their end, counted from before the statement was sent. */
  | { what: 'owns'; how: 'take' | 'retake' | 'renew'; leases: readonly LeaseName[]; until: MonotonicMs }
  | { what: 'releases'; leases: readonly LeaseName[] }
  /** The relay lets go of buckets because it takes their leases for lost. */
  | { what: 'loses'; buckets: readonly number[] }
  | { what: 'fetched'; ids: readonly string[] }
  /** Rows were read of which some had been put in after the relay had read beyond their ids. */
  | { what: 'finds-below'; rows: readonly { bucket: number; id: number; messageId: string }[] }
  /**
   * `spareMs`: what was left of the shortest lease beyond the request's own time at the relay's last look at its clock; null: no lease.
   * `until`: when the request's own time is over; what is not answered by then is not written any more.
   */
  | {
      what: 'publishes'
      batch: number
      topic: string
      partition: number
      ids: readonly string[]
      leases: readonly LeaseName[]
      /** {@link BatchKey} under which it is sent; left out without numbers. */
      numbers?: BatchKey
      spareMs: number | null
      until: MonotonicMs
    }
  | { what: 'published'; batch: number; outcome: 'acked' | 'not-written' | 'unknown'; offset: number | null; code: string | null }
  /** The statement of the exactly-once mode, by a number of the relay's own; `recorded` is its answer. */
  | {
      what: 'records'
      statement: number
      begun: readonly TracedBatch[]
      landed: readonly BatchKey[]
      acknowledged: readonly BatchKey[]
      withdrawn: readonly BatchKey[]
      leases: readonly LeaseName[]
    }
  /** `held`: the buckets whose leases were the relay's; null: a row was locked, and nothing was done. */
  | { what: 'recorded'; statement: number; held: readonly number[] | null; withdrawn: number }
  /** The recorded batches of claimed buckets were read; `after`: when the question was sent. */
  | { what: 'adopts'; buckets: readonly number[]; batches: readonly TracedBatch[]; after: MonotonicMs }
  /** The log was searched for a batch; null: it could not be read. */
  | { what: 'searched'; ids: readonly string[]; found: number | null; after: MonotonicMs }
  | { what: 'settles'; ids: readonly string[] }
  | { what: 'settled'; ids: readonly string[] }
  | { what: 'deadLetters' | 'moves-behind'; ids: readonly string[]; lease: LeaseName; reason: string | null }
  /** The relay told something that must never happen. */
  | { what: 'alarm'; event: string; bucket: number; id: number }
  | { what: 'stops' }
)

/** What one relay process did, in order. */
export interface Trace {
  relay: string
  lines: readonly TraceLine[]
}

/** A fault as it was injected. */
export interface InjectedFault {
  kind: string
  from: MonotonicMs
  /** When everything was sound again. */
  healedAt: MonotonicMs
  /** What flows on beside it. */
  flow?: Flow
}

/** A fault that leaves others alone: their messages are acknowledged so many milliseconds after their commit also while it is in force. */
export interface Flow {
  withinMs: number
}

/** A message in outbox_dead_letter, or expected there. */
export interface DeadMessage {
  id: string
  /** Null: it waits behind a dead message of its key, which is there. */
  reason: string | null
}

/** How everything stood after the last fault was healed. */
export interface Rest {
  /** Milliseconds from the last heal until the outbox was empty; null: it never was. */
  emptiedMs: number | null
  /** Milliseconds that it may take. */
  limitMs: number
  /** Rows left in the outbox. */
  left: number
  dead: readonly DeadMessage[]
  expectedDead: readonly DeadMessage[]
  /** Relays that ended by themselves, with how. */
  unexpectedEnds: readonly string[]
}

/** Use of one relay process at a moment. */
export interface ResourceSample {
  relay: string
  at: MonotonicMs
  rssBytes: number
  /** Open file descriptors. */
  handles: number
  /** Connections to the database. */
  connections: number
}

/** What was used, and what may be. */
export interface Resources {
  samples: readonly ResourceSample[]
  /** Bytes of write-ahead log of one message from INSERT to DELETE, without leases; null: not measured. */
  walBytesPerMessage: number | null
  budget: { rssBytes: number; handles: number; connections: number; walBytesPerMessage: number }
}

/** Everything that is known about a run. What was not recorded is left out, and the checks that need it say so. */
export interface History {
  topics: readonly TopicState[]
  /** The relays ran in the exactly-once mode: no copy is explained by anything. */
  exactlyOnce?: boolean
  /** Batches that such relays recorded, if that was counted. */
  recordedBatches?: number
  attempts: readonly Attempt[]
  ledger: readonly LedgerRow[]
  dumps: readonly Dump[]
  faults: readonly InjectedFault[]
  traces?: readonly Trace[]
  /** Where there is no trace: the copies that the faults can explain, for example the rows in flight of every relay that was killed. */
  mostDuplicates?: number
  /** Messages of one key each that a fault wrote one after another, in that order; their topics are in no dump. */
  lines?: readonly (readonly string[])[]
  /** Messages that a fault put in below what the relays had read, as nobody does who writes by `enqueue`: each is sent, and told as an alarm. */
  putBelow?: readonly string[]
  rest?: Rest
  resources?: Resources
}
