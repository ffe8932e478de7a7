import { instancesOfAll } from './one-copy.ts'

/** Where the documentation is. The only place that knows the address: errors, alerts and the dashboard link below it. */
export const docsUrl = 'https://github.com/prisma-extension-outbox/prisma-extension-outbox/blob/main/docs'

/**
 * Every code that an {@link OutboxError} can carry, with its anchor in `docs/reference/errors.md`. The list is closed. `npm run docs` writes
 * that page from these comments: the meaning, the remedy, and a page to read.
 */
export const errorCodes = {
  /**
   * `enqueue` was called outside a transaction, or after its transaction had ended.
   * @remedy Call it in the callback of `$transaction`, and await everything there.
   * @see guides/enqueue.md
   */
  OUTSIDE_TRANSACTION: 'outside-transaction',
  /**
   * `enqueue` was called on the outer client inside a callback, or on a transaction while one nested in it is open.
   * @remedy Use the client that the callback receives.
   * @see guides/enqueue.md
   */
  OUTER_CLIENT: 'outer-client',
  /**
   * `enqueue` was put into the array form of `$transaction`.
   * @remedy Use the callback form.
   */
  ARRAY_FORM: 'array-form',
  /**
   * The message is not an object, has an unknown field, or has a field of the wrong type.
   * @remedy Correct the field that the error names.
   * @see reference/message.md
   */
  INVALID_MESSAGE: 'invalid-message',
  /**
   * The topic is empty, too long, or has characters that Kafka refuses.
   * @remedy Use letters, digits, `.`, `_` and `-`, at most 249 of them.
   * @see reference/message.md
   */
  INVALID_TOPIC: 'invalid-topic',
  /**
   * The key cannot be written as bytes without change.
   * @remedy Give a string, a bigint or bytes.
   * @see reference/message.md
   */
  INVALID_KEY: 'invalid-key',
  /**
   * The payload is missing, JSON would change it silently, it is a tombstone without a key, or the schema of the event refuses
   * it.
   * @remedy Correct the value at the path that the error names.
   * @see reference/message.md
   */
  INVALID_PAYLOAD: 'invalid-payload',
  /**
   * A header is not a string, its name belongs to the outbox, or there are more than 100 headers.
   * @remedy Rename it, write its value as a string, or move headers into the payload.
   * @see reference/message.md
   */
  INVALID_HEADER: 'invalid-header',
  /**
   * The message id is not a UUID.
   * @remedy Give a UUID, or leave it out.
   */
  INVALID_ID: 'invalid-id',
  /**
   * Key, value and headers together are over `maxBytes`.
   * @remedy Store the data elsewhere and send a reference, or raise `maxBytes` together with `max.message.bytes` of the topic.
   * @see reference/message.md
   */
  MESSAGE_TOO_LARGE: 'message-too-large',
  /**
   * The client has a catalog, and the message has no `type`, or one that the catalog does not have.
   * @remedy Use one of the events that the error lists, or add the event to the catalog.
   * @see guides/typed-events.md
   */
  UNKNOWN_EVENT: 'unknown-event',
  /**
   * An earlier enqueue of this transaction failed, so the transaction may not commit.
   * @remedy Read `cause`, and retry the transaction.
   */
  TRANSACTION_DOOMED: 'transaction-doomed',
  /**
   * A statement arrived after its transaction had ended, for example after a timeout. It wrote nothing.
   * Prisma mostly reports the timeout first, with its own code `P2028`.
   * @remedy Retry the transaction; if it timed out, give it a longer `timeout`. If it happens each time, a client extension
   * sends statements out of the transaction: `doctor --client` names it.
   */
  TRANSACTION_OVER: 'transaction-over',
  /**
   * The Prisma schema has no outbox model, the model lacks a field, or it is mapped to a table that no relay reads.
   * @remedy Run `init` and `prisma generate`, set the option `model`, or map the model to `outbox`, with a prefix if you like.
   * @see guides/multi-tenant.md#a-table-outbox-of-your-own
   */
  MODEL_MISSING: 'model-missing',
  /**
   * An option, a flag or an environment variable is wrong or missing.
   * @remedy The error names it and its range.
   * @see reference/configuration.md
   */
  INVALID_OPTION: 'invalid-option',
  /**
   * The database URL is malformed or names a file that cannot be read, the login was refused, or the database does not exist.
   * @remedy Check URL, user, password, name and `pg_hba.conf`.
   */
  DATABASE_REFUSED: 'database-refused',
  /**
   * A command cannot reach the database. (A relay waits for it instead.)
   * @remedy Check that the database runs, and that host and port are right.
   */
  DATABASE_UNREACHABLE: 'database-unreachable',
  /**
   * The tables are not in the database, or lack a column or their sequence.
   * @remedy Apply the migration, or name the PostgreSQL schema or the table prefix.
   */
  TABLES_MISSING: 'tables-missing',
  /**
   * The tables have a format that this version does not know.
   * @remedy Run the version that belongs to the tables.
   * @see guides/upgrade.md
   */
  TABLE_FORMAT: 'table-format',
  /**
   * The URL leads to a replica or a read-only database.
   * @remedy Point it at the primary.
   */
  READ_ONLY_DATABASE: 'read-only-database',
  /**
   * Row-level security is active for the relay's role and would hide rows.
   * @remedy Give the role BYPASSRLS, or disable row-level security on the outbox tables.
   * @see guides/multi-tenant.md
   */
  ROW_SECURITY: 'row-security',
  /**
   * The sequence of ids is behind the tables, or hands out blocks of ids. A running relay continues, and its event
   * `ids_restarted` names the same statement.
   * @remedy Redrive dead messages of a running relay first, then run the statement that the error names.
   */
  SEQUENCE_BEHIND: 'sequence-behind',
  /**
   * The database role lacks a right.
   * @remedy Grant the rights that `ops/grants.sql` lists.
   * @see guides/database-roles.md
   */
  MISSING_RIGHTS: 'missing-rights',
  /**
   * The outbox, or its dead letters, has no such message, or a named file does not exist.
   * @remedy See `list`. A published message is in its topic.
   */
  NOT_FOUND: 'not-found',
  /**
   * A command cannot reach Kafka, or may not do there what it needs. (A relay waits instead.)
   * @remedy Check that the brokers can be reached, and that the login may create and delete topics.
   * @see guides/kafka-auth.md
   */
  KAFKA_REFUSED: 'kafka-refused',
  /**
   * The package of the chosen transport is missing, does not suit this version of Node, or is another version of kafkajs than
   * this package depends on. Or the signer of the login `aws-msk-iam` is missing.
   * @remedy Install the package that the error names, or use kafkajs.
   * @see guides/kafka-clients.md
   */
  TRANSPORT_PACKAGE: 'transport-package',
  /**
   * Records are compressed, or shall be, with a codec whose package is missing.
   * @remedy Install the package that the error names.
   * @see guides/compression.md
   */
  COMPRESSION_PACKAGE: 'compression-package',
  /**
   * `init` found no Prisma project for PostgreSQL, a name or table of ours is taken, or a path has to be computed.
   * @remedy The error names the flag that helps: `--schema-path`, `--migrations-path`, `--model`,
   * `--schema` or `--table-prefix`.
   */
  PRISMA_PROJECT: 'prisma-project',
  /**
   * A broker's answer has records that cannot be read: a wrong checksum, impossible lengths, or more than 128 MiB. The message
   * names topic, partition and offset.
   * @remedy Read the records with Kafka's own tools; to skip them, set the offset of the consumer group behind them.
   * @see guides/consumer-failures.md#records-that-cannot-be-read
   */
  RECORDS_UNREADABLE: 'records-unreadable',
  /**
   * kafkajs has given a consumer up: an error that it does not retry, missing credentials or rights, or no sign of life for
   * two sessions.
   * @remedy Let the process end and restart it; `cause` has the reason.
   * @see consumers.md#run-it
   */
  CONSUMER_ENDED: 'consumer-ended',
  /**
   * Records of a topic were deleted before a projection applied them, at the start or while it runs.
   * @remedy Set `retention.ms=-1` on topics of read models, or give `allowMissingStart: true`.
   * @see guides/projections.md#keep-the-topic
   */
  PROJECTION_START_GONE: 'projection-start-gone',
  /**
   * A topic is no longer the log that a projection has read: it was created again, lost its last records, or is on another
   * cluster.
   * @remedy Build the read model under a new name, or start over.
   * @see guides/projections.md#when-the-log-changes
   */
  PROJECTION_LOG_CHANGED: 'projection-log-changed',
  /**
   * `drain` of `./testing` deletes what it publishes to memory, and this database may not be one for tests: its name does not
   * contain `test`, or a relay ran on it within the last minute.
   * @remedy Give the URL of a database for tests, or `database: 'any'` if no relay runs on it.
   * @see testing.md#publish-without-kafka
   */
  NOT_A_TEST_DATABASE: 'not-a-test-database',
  /**
   * No relay or consumer answered a request in time.
   * @remedy See in `status` whether a relay is running. The request stands.
   * @see guides/dead-letters.md
   */
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
