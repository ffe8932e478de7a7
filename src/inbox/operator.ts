import { type TableSet, tablesOf } from '../message/tables.ts'
import { inboxStatements, listedKeyBytes, type SqlClient } from './statements.ts'

// The operator's view of dead-lettered messages: what they are, and the requests that an operator leaves for the consumers. Called by the
// command `inbox`. Redriver (inbox/redriver.ts) carries the requests out.

/** Names a dead-lettered message. */
export interface InboxDeadLetterName {
  consumer: string
  /** The message id, or the UUID that stands for a record without one. */
  identity: string
}

/** A message that a consumer has put aside, as a list shows it: never its payload. */
export interface InboxDeadLetter extends InboxDeadLetterName {
  topic: string
  partition: number
  offset: string
  /** Null: the record has no id, or one that is no UUID. */
  messageId: string | null
  type: string | null
  /** Of a key over 64 KiB only the beginning. */
  key: Uint8Array | null
  /** Null: it waits behind another of its topic and key. */
  reason: string | null
  error: string | null
  attempts: number
  diedMs: number
  requestedAction: 'redrive' | 'discard' | null
  requestedBy: string | null
}

/** Which dead-lettered messages. Filters are combined with AND. */
export interface InboxSelection {
  consumer?: string | undefined
  /** Identities, as a list shows them. */
  messageIds?: readonly string[] | undefined
  topic?: string | undefined
  key?: Uint8Array | undefined
  reason?: string | undefined
}

/** Reads inbox_dead_letter and writes requests into it, through any client for SQL. */
export class InboxOperator {
  readonly #client: SqlClient
  readonly #set: TableSet

  constructor(client: SqlClient, set: TableSet) {
    this.#client = client
    this.#set = set
  }

  /** Dead-lettered messages, by consumer, topic and arrival. `firsts`: only those that were put aside for a reason of their own. */
  async list(which: InboxSelection & { limit: number; firsts: boolean }): Promise<InboxDeadLetter[]> {
    const { consumer = null, messageIds = null, topic = null, key = null, reason = null, firsts, limit } = which
    const { list } = inboxStatements(this.#set)
    return await this.#client.$queryRaw<InboxDeadLetter[]>(list, consumer, messageIds, topic, key, reason, firsts, limit)
  }

  /** Writes the request on those rows. */
  async request(rows: readonly InboxDeadLetterName[], action: 'redrive' | 'discard', by: string): Promise<void> {
    const { namesAuthor, request, requestNamed } = inboxStatements(this.#set)
    const table = tablesOf(this.#set.schema, this.#set.prefix).inboxDead
    const [author] = await this.#client.$queryRaw<{ names: boolean }[]>(namesAuthor, table, table)
    await this.#client.$executeRaw(author?.names ? requestNamed : request, action, by, ...namesOf(rows))
  }

  /** Of these rows, how many are there still; how many requests stand for them and those behind them, and where they stand. */
  async answers(rows: readonly InboxDeadLetter[]): Promise<{ there: number; open: number; at: string }> {
    const { answers } = inboxStatements(this.#set)
    // A redrive hands the request on within the key; of a key that is cut off only the row is known.
    const keys = rows.map(({ key }) =>
      key === null || key.length >= listedKeyBytes ? null : Buffer.from(key).toString('base64'),
    )
    const topics = rows.map(({ topic }) => topic)
    type Answers = Awaited<ReturnType<InboxOperator['answers']>>
    return (await this.#client.$queryRaw<Answers[]>(answers, ...namesOf(rows), topics, keys))[0]!
  }
}

const namesOf = (rows: readonly InboxDeadLetterName[]): [consumers: string[], identities: string[]] => [
  rows.map(({ consumer }) => consumer),
  rows.map(({ identity }) => identity),
]
