import { instancesOfAll } from './one-copy.ts'

/** Where the documentation is. The only place that knows the address: errors, alerts and the dashboard link below it. */
export const docsUrl = 'https://github.com/prisma-extension-outbox/prisma-extension-outbox/blob/main/docs'

/**
 * Every code an {@link OutboxError} can carry, with the anchor of its paragraph in `docs/reference/errors.md`. The list is closed: a test
 * compares it with that page.
 */
export const errorCodes = {
  /** `enqueue` was called outside an interactive transaction. */
  OUTSIDE_TRANSACTION: 'outside-transaction',
  /** `enqueue` was called on the outer client inside a transaction callback. */
  OUTER_CLIENT: 'outer-client',
  /** `enqueue` was put into the array form of `$transaction`. */
  ARRAY_FORM: 'array-form',
  /** The message is not an object, or has a field of the wrong type. */
  INVALID_MESSAGE: 'invalid-message',
  /** The topic is empty, too long, or has characters that Kafka refuses. */
  INVALID_TOPIC: 'invalid-topic',
  /** The key cannot be written as bytes without change. */
  INVALID_KEY: 'invalid-key',
  /** The payload is missing, or JSON would change it silently. */
  INVALID_PAYLOAD: 'invalid-payload',
  /** A header is illegal, or has a name that belongs to the outbox. */
  INVALID_HEADER: 'invalid-header',
  /** The message id is not a UUID. */
  INVALID_ID: 'invalid-id',
  /** Key, value and headers together are over the limit. */
  MESSAGE_TOO_LARGE: 'message-too-large',
  /** The catalogue has no such event type, or a type was expected. */
  UNKNOWN_EVENT: 'unknown-event',
  /** An earlier enqueue of this transaction failed, so the transaction may not commit. */
  TRANSACTION_DOOMED: 'transaction-doomed',
  /** The transaction had ended when a statement arrived that belongs to it; the statement wrote nothing. */
  TRANSACTION_OVER: 'transaction-over',
  /** The Prisma schema lacks the outbox model, or one of its fields. */
  MODEL_MISSING: 'model-missing',
  /** An option of the package, a flag or an environment variable is wrong. */
  INVALID_OPTION: 'invalid-option',
  /** The database URL is malformed, or the database refused the login. */
  DATABASE_REFUSED: 'database-refused',
  /** A command found no database to ask: it does not run, or the address is wrong. (A relay waits for it.) */
  DATABASE_UNREACHABLE: 'database-unreachable',
  /** The outbox tables are not in the database, or lack a column. */
  TABLES_MISSING: 'tables-missing',
  /** The tables have a format that this version does not know. */
  TABLE_FORMAT: 'table-format',
  /** The database is a read-only replica. */
  READ_ONLY_DATABASE: 'read-only-database',
  /** Row-level security hides rows from the relay. */
  ROW_SECURITY: 'row-security',
  /** The sequence of outbox ids is behind the table: ids would come twice. */
  SEQUENCE_BEHIND: 'sequence-behind',
  /** The relay's role lacks a right. */
  MISSING_RIGHTS: 'missing-rights',
  /** Something that was asked for does not exist. */
  NOT_FOUND: 'not-found',
  /** A command cannot reach Kafka, or may not do there what it needs. (A relay waits for it.) */
  KAFKA_REFUSED: 'kafka-refused',
  /** The package of the chosen transport is missing, or does not suit this version of Node. */
  TRANSPORT_PACKAGE: 'transport-package',
  /** Records are compressed, or shall be, with a codec whose package is missing. */
  COMPRESSION_PACKAGE: 'compression-package',
  /** `init` found no Prisma project that it can add the outbox to. */
  PRISMA_PROJECT: 'prisma-project',
  /** Records in Kafka cannot be read: a wrong checksum, impossible lengths, or an answer that is too large. */
  RECORDS_UNREADABLE: 'records-unreadable',
  /** kafkajs has given a consumer up. */
  CONSUMER_ENDED: 'consumer-ended',
  /** The beginning of a topic has been deleted, and with it a part of the read model. */
  PROJECTION_START_GONE: 'projection-start-gone',
  /** A topic is not the log any more that a projection has read: it was created again, lost records, or is another cluster's. */
  PROJECTION_LOG_CHANGED: 'projection-log-changed',
  /** `drain` of `./testing` found a database that may not be one for tests: it deletes what it publishes. */
  NOT_A_TEST_DATABASE: 'not-a-test-database',
  /** No relay answered a request in time. */
  NO_ANSWER: 'no-answer',
} as const

/** One of {@link errorCodes}, with the prefix that stands in front of it in `error.code`. */
export type OutboxErrorCode = `OUTBOX_${keyof typeof errorCodes}`

/** What an {@link OutboxError} is made of. */
export interface OutboxErrorDetails {
  /** Field at fault, with its path: `payload.items[3].price`. Never its value. */
  field?: string
  /** What to do about it, as one sentence. */
  remedy: string
  /** The error underneath, if there is one. */
  cause?: unknown
}

/**
 * The only error class of this package. `instanceof` holds for errors of every copy of it, ES module or CommonJS. Message and fields never
 * hold a payload, a key, a header value or a secret.
 *
 * @example
 * ```ts
 * if (isOutboxError(error)) log.error({ code: error.code, field: error.field, docs: error.docs })
 * ```
 */
export class OutboxError extends Error {
  static {
    instancesOfAll(OutboxError, 'OutboxError')
  }

  override readonly name = 'OutboxError'
  /** Stable code, listed in `docs/reference/errors.md`. */
  readonly code: OutboxErrorCode
  /** Field at fault with its path, if one is. */
  readonly field: string | undefined
  /** What to do about it. */
  readonly remedy: string
  /** Address of the paragraph that explains it. */
  readonly docs: string

  constructor(code: keyof typeof errorCodes, what: string, details: OutboxErrorDetails) {
    const docs = `${docsUrl}/reference/errors.md#${errorCodes[code]}`
    super(`${what} ${details.remedy} [OUTBOX_${code}, ${docs}]`, { cause: details.cause })
    this.code = `OUTBOX_${code}`
    this.field = details.field
    this.remedy = details.remedy
    this.docs = docs
  }
}

/**
 * Whether `error` is an {@link OutboxError} of this or another copy of the package, with that code if one is given.
 *
 * @example
 * ```ts
 * if (isOutboxError(error, 'OUTBOX_MESSAGE_TOO_LARGE')) return reply.code(413).send()
 * ```
 */
export function isOutboxError(error: unknown, code?: OutboxErrorCode): error is OutboxError {
  return error instanceof OutboxError && (code === undefined || error.code === code)
}
