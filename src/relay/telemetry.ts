import { Emitter, type Listenable } from '../running/emitter.ts'
import type { OutboxSample } from '../store/operator.ts'
import type { OnDeadLetter } from './state/on-dead-letter.ts'

/**
 * Everything that is told about a relay. Logs, metrics, traces, health and dashboard listen to these events; the relay itself only emits.
 * No payload, key, secret or connection string is ever in it, and of header values only a well-formed `traceparent`. Fields that end in `ms` are milliseconds, `bytes` are bytes, `code`
 * is a name of Kafka, of the client or of PostgreSQL, and `error` says it in words. `owned` is how many buckets the relay has afterwards.
 */
export interface RelayEvents {
  /** The relay runs. `settings` has the settings that it runs with, secrets masked. Once. */
  started: { relay: string; name: string; version: string; settings: Record<string, unknown> }
  /** The relay has ended. `clean`: everything in flight was settled and all leases were given back. Once. */
  stopped: { relay: string; clean: boolean }
  /**
   * The heartbeat was written: ten times in a lease, and at least once a second while the database serves. `relays` are alive, this
   * one included. `inFlight` rows are read and not yet deleted; `inFlightBytes` are read and not yet acknowledged. `silentMs` is the
   * time since a broker last answered this relay, or since its start.
   */
  heartbeat: { relays: number; owned: number; inFlight: number; inFlightBytes: number; silentMs: number }
  /**
   * The database cannot be reached or refuses work. Emitted once, until it is over. All buckets are given up with the connection.
   * The codes 57P05 (an idle connection was closed) and 55P03 (a table is locked) are harmless: logs have them at `info` and `warn`.
   */
  database_trouble: { code: string; error: string }
  /** The database serves again after `ms`. */
  database_recovered: { ms: number }
  /**
   * Kafka cannot be reached, or a publish ended without a clear answer. Emitted once, until each affected lane was acknowledged, is
   * idle, or has its topic paused.
   */
  kafka_trouble: { code: string; error: string }
  /** Kafka takes messages again after `ms`. */
  kafka_recovered: { ms: number }
  /** Buckets were claimed. */
  leases_taken: { buckets: number[]; owned: number }
  /** Buckets were given back, to let another relay have its share or at the end. */
  leases_released: { buckets: number[]; owned: number }
  /** Buckets were lost: the lease ran out or another relay has it. */
  leases_lost: { buckets: number[]; owned: number }
  /**
   * All buckets are given back, because a peer is better off. Either no broker has answered for one lease time while one answered a
   * live peer. Or messages have waited for three lease times, and no broker acknowledged any while one did to a peer.
   */
  gave_up: { buckets: number[]; owned: number }
  /**
   * Buckets were taken over from a relay that died, and another died shortly before. Perhaps one message kills each relay that reads
   * it. `deaths` counts relays that died within `withinMs`; those that died together count as one.
   */
  relays_dying: { deaths: number; withinMs: number; buckets: number[]; owned: number }
  /** A fetch read `rows` in `ms`, or found none. */
  fetched: { rows: number; ms: number }
  /**
   * Kafka acknowledged a batch `ms` after it was sent. `bytes` are those of keys, values and headers. `agesMs` has the age of each
   * message, from its creation by the clock of the database to the acknowledgement by the clock of the relay. `traces` names the
   * spans that enqueued the messages, each once, as `traceparent` values, at most 32.
   */
  published: { topic: string; partition: number; records: number; bytes: number; ms: number; agesMs: number[]; traces: string[] }
  /**
   * A batch was not acknowledged within `ms`. `not-written`: it is certainly not in the log. `unknown`: it may be, and is sent
   * again. `traces` as in `published`.
   */
  publish_failed: {
    topic: string
    partition: number
    records: number
    kind: 'not-written' | 'unknown'
    code: string
    ms: number
    traces: string[]
  }
  /**
   * A partition did not know the numbers of a batch: it lost acknowledged records, or forgot the producer. The batch is sent again
   * under new numbers. It may become a copy, and is not lost.
   */
  sequence_lost: { topic: string; partition: number; code: string }
  /**
   * Brokers give no producer ids, or none to this login. Batches are sent without numbers, so a lost acknowledgement makes copies.
   * Emitted once, until brokers give them; the relay asks again each minute.
   */
  sequences_unavailable: { code: string; error: string }
  /** Recorded batches of claimed buckets go on here: they are sent again under their numbers, and each is in the log once. */
  batches_adopted: { batches: number; rows: number }
  /**
   * Nobody can tell whether a recorded batch is in the log: it is not sent again, its lane waits, and the log is searched again. `found`: how many of
   * its records were found; null: the log could not be read.
   */
  batch_in_doubt: { topic: string; partition: number; records: number; found: number | null }
  /**
   * A batch was recorded for another Kafka cluster, and may have been published there. It is looked up in this one, and published if it is not
   * there.
   */
  cluster_changed: { topic: string; partition: number; records: number }
  /**
   * Relays of the other mode serve the outbox: this one waits, and takes over when their leases have ended. A plain relay publishes first what they
   * had recorded; if its transport has no producer ids, it waits for that too. Emitted once.
   */
  standing_by: { exactlyOnce: boolean }
  /**
   * A bug of the relay or of a Kafka client, not trouble of a server: please report it. `error` is the name and the stack of the
   * error, without its message. After an error during `publish` or a `search` of the log, or when the client was `asked` for partitions, the client is
   * called again. Emitted with the first failure, for a search with each. An error of the `relay` itself ends it.
   */
  internal_error: { during: 'publish' | 'asked' | 'search' | 'relay'; error: string }
  /**
   * Another transaction has locked a row that the relay must delete or move. Other rows continue; this one is retried each second.
   * Emitted once, with the first row, until none is locked any more. `topic` and `messageId` are null if only the bucket is known.
   */
  rows_locked: { bucket: number; topic: string | null; messageId: string | null }
  /** No row waits for a lock any more; the first one did `ms` ago. */
  rows_free: { ms: number }
  /**
   * Rows that Kafka has acknowledged are still there after their delete, and nobody has locked them: a trigger or a rule keeps them.
   * This relay does not send them again, and tries to delete them each second. Emitted whenever the number has changed. `bucket` and
   * `topic` are those of one row.
   */
  rows_kept: { rows: number; bucket: number; topic: string }
  /** No such row is there any more; the first was met `ms` ago. */
  rows_deleted: { ms: number }
  /** Acknowledged rows were deleted in `ms`. */
  settled: { rows: number; ms: number }
  /**
   * A message was rejected for good, or is too large, and is now in `outbox_dead_letter`. `reason` is a code. `onDeadLetter`: with
   * `skip` the relay continues with its key.
   */
  dead_lettered: { topic: string; messageId: string; reason: string; error: string; onDeadLetter: OnDeadLetter }
  /**
   * A rejected message could not be moved to `outbox_dead_letter` in time. It stays in the outbox, its key waits, and it is tried
   * again.
   */
  dead_letter_failed: { topic: string; messageId: string; bytes: number; code: string }
  /** `rows` were moved behind a dead message of their key. */
  blocked: { topic: string; rows: number }
  /**
   * Dead messages were put back by the request of an operator. `by` is the login and user@host, or null if the request was written
   * by hand. `keys` counts a message that blocks no key as one. `firstId` and `lastId` are ids of the table.
   */
  redriven: { topic: string; rows: number; keys: number; firstId: number; lastId: number; by: string | null }
  /** A dead message was dropped by the request of an operator. `id` is its place in the outbox. */
  discarded: { topic: string; messageId: string; id: number; by: string | null }
  /** A request could not be carried out. It stays and is tried again. */
  request_failed: { topic: string; action: 'redrive' | 'discard'; code: string }
  /**
   * A topic cannot take messages. Its messages wait; those of other topics continue. Emitted once, until it is over. The log line
   * has a remedy, and a command if one helps.
   */
  topic_paused: { topic: string; code: string; error: string }
  /** The topic takes messages again after `ms`. */
  topic_resumed: { topic: string; ms: number }
  /**
   * Besides the topics that `topic_paused` names, others take no messages. Emitted whenever their number has changed. `topics` are
   * known, and asked for every few seconds. `more`: there are others, which have their turn later. `topic` and `code` are those of
   * one.
   */
  topics_missing: { topics: number; more: boolean; topic: string; code: string }
  /** None of those is left after `ms`: each takes messages, has an event of its own, or has no messages any more. */
  topics_found: { ms: number }
  /** The number of partitions changed. Order of a key across the change is not promised. */
  partitions_changed: { topic: string; from: number; to: number }
  /**
   * The ids of the outbox have restarted. Every bucket is read from 0 under a new claim. Emitted once. `remedy` is the one that
   * start-up would ask for while the sequence is behind ids in the tables. Until then, messages of keys with dead rows from before
   * wait behind these. Otherwise it is null.
   */
  ids_restarted: { error: string; remedy: string | null }
  /** A sweep found a row that the reader should have seen before. It is sent now. Please report it, with the log. */
  row_found_below_position: { bucket: number; id: number; topic: string }
  /** A row is in a bucket that does not fit its key. The program that wrote it hashes differently, and its key has no order. */
  wrong_bucket: { bucket: number; id: number; topic: string }
  /**
   * The database has other outboxes with messages and without a relay: in another PostgreSQL schema, or with another table prefix.
   * Emitted at the start. `outboxes` are names of tables, at most 20; those that the role may not read are left out.
   */
  outboxes_without_relay: { outboxes: string[] }
  /** The sampler, if one runs, queried the tables in `ms`: every five seconds, or less often if queries are expensive. */
  sampled: OutboxSample & { ms: number }
  /** A query of the sampler failed; it tries again. */
  sample_failed: { code: string }
  /**
   * The server, if one runs, closed a connection that took too long (`too_slow`) or had to give way (`too_many`), or refused a
   * `wrong_login`.
   */
  http_refused: { reason: 'too_slow' | 'too_many' | 'wrong_login'; address: string }
}

/** Name of an event. */
export type RelayEvent = keyof RelayEvents

/** A relay, or whatever else emits its events. */
export type RelayEventSource = Listenable<RelayEvents>

/** Events of other parts of this package, such as the sampler, go through the relay too: each that `createRelay` makes has its emitter. */
export const telemetryOf = (relay: RelayEventSource): Telemetry =>
  (relay as RelayEventSource & { telemetry: Telemetry }).telemetry

/** Hands the events of a relay to the handlers that are registered for them. */
export class Telemetry extends Emitter<RelayEvents> {}
