/**
 * The events of a consumer with the inbox. Logs and metrics listen to them with `inbox.on`; the consumer itself only emits. No
 * payload, key, header value or secret is ever in it. Fields that end in `ms` are milliseconds; `code` is a name of ours, of Prisma, of
 * PostgreSQL or of the handler's error; `copies` are messages that had been taken care of before.
 */
export interface InboxEvents {
  /**
   * The consumer runs. Once. `guarded` is false for a consumer of another copy of kafkajs: it is not guarded against records with
   * thousands of headers and against hostile brokers.
   */
  consumer_started: { consumer: string; topics: string[]; guarded: boolean }
  /** The consumer has ended. Once. `code` is null after `stop()`. */
  consumer_stopped: { consumer: string; code: string | null }
  /** The member has these partitions now. */
  partitions_assigned: { consumer: string; partitions: Record<string, number[]> }
  /** Messages were applied in one transaction of `ms`. `copies` had been applied before. */
  applied: { consumer: string; topic: string; partition: number; messages: number; copies: number; ms: number }
  /**
   * A message, or the first of a batch, could not be applied. Its partition waits for `waitMs` and then retries it. `attempt` counts
   * towards dead-lettering; it is 0 for trouble of the database. `error` is the name and the stack of the error, without its
   * message.
   */
  apply_failed: {
    consumer: string
    topic: string
    partition: number
    offset: string
    messageId: string | null
    attempt: number
    code: string
    error: string
    waitMs: number
  }
  /** A message was moved to `inbox_dead_letter`. Later ones of its topic and key go behind it. */
  dead_lettered: {
    consumer: string
    topic: string
    partition: number
    offset: string
    messageId: string | null
    reason: string
    attempts: number
  }
  /** Messages were put behind a dead-lettered one of their key. */
  blocked: { consumer: string; topic: string; partition: number; messages: number }
  /**
   * Dead-lettered messages of a key were applied by the request of an operator. `by` is the login and user@host, or null if the
   * request was written by hand.
   */
  redriven: { consumer: string; topic: string; messages: number; by: string | null }
  /** A redriven message failed again. It and those behind it stay dead-lettered. */
  request_failed: { consumer: string; topic: string; partition: number; offset: string; messageId: string | null; code: string }
  /** A dead-lettered message was dropped by the request of an operator. */
  discarded: {
    consumer: string
    topic: string
    partition: number
    offset: string
    messageId: string | null
    by: string | null
  }
  /** Old rows of the inbox were deleted in `ms`. */
  inbox_pruned: { consumer: string; rows: number; ms: number }
  /** A query for requests, or pruning, failed; it is tried again. */
  upkeep_failed: { consumer: string; what: 'redrive' | 'prune'; code: string }
  /**
   * kafkajs has ended the consumer, or it could not begin. `restart`: kafkajs starts it again. `code` is the name that Kafka gave,
   * if a broker said so. `topic` is the one at fault, if that is known.
   */
  consumer_crashed: { consumer: string; code: string; topic: string | null; restart: boolean }
}

/** The events of a projection. */
export interface ProjectionEvents extends Pick<InboxEvents, 'consumer_crashed' | 'partitions_assigned'> {
  /** Records were applied in one transaction of `ms`. */
  projected: { name: string; topic: string; partition: number; records: number; nextOffset: string; ms: number }
  /** Records could not be applied. The partition waits for `waitMs` and tries again. `error` as in `apply_failed` of an inbox. */
  projection_failed: {
    name: string
    topic: string
    partition: number
    offset: string
    code: string
    error: string
    waitMs: number
  }
  /** Everything that was there at the start is applied: the read model may be used. Once. */
  live: { name: string }
}

/** Name of an event of an inbox. */
export type InboxEvent = keyof InboxEvents
