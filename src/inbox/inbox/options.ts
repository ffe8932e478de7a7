import type { Catalog } from '../../events/catalog.ts'
import { OutboxError } from '../../message/errors.ts'
import { wrongOption } from '../failure.ts'
import { checkHandlers, type Handlers, type TransactionOf } from '../handlers.ts'
import { prismaLike } from '../prisma8.ts'
import type { SqlClient } from '../statements.ts'
import type { InboxPlace } from '../table-set.ts'
import type { PrismaLike } from '../transaction.ts'

/** When a message is dead-lettered instead of being retried forever. */
export interface DeadLetterOptions {
  /** Tries of the handler that failed, before the message is dead-lettered and its partition goes on. Trouble of the database does not count. */
  after: number
}

/** Options of `createInbox()`. Durations are milliseconds. */
export interface InboxOptions<Client, C extends Catalog, Batch extends number | undefined> extends InboxPlace {
  /** The Prisma client, with all its extensions: a handler's `tx` has them too. Of Prisma 8 what `withOutbox()` returns. */
  prisma: Client
  /** Name of the consumer, one for each set of effects. It stays the same over all deployments. */
  consumer: string
  /** The catalog of the events. */
  events: C
  /** What is done with each event, in a transaction that commits with the row of the inbox. Events that are not named are skipped. */
  handlers: Handlers<C['events'], TransactionOf<NoInfer<Client>>, NoInfer<Batch>>
  /** Dead-letter a message if its handler keeps failing. @default none: it is retried forever, and its partition waits */
  deadLetter?: DeadLetterOptions | undefined
  /** Messages of one transaction at most; handlers then take arrays. @default none: a transaction for each message */
  batch?: Batch
  /** Time for the transaction of a message or batch, and for what comes before it: the look into the inbox, the codec. @default 30_000 */
  handlerTimeoutMs?: number | undefined
  /** First and longest wait before a failed message is tried again; doubled each time. @default { firstMs: 500, maxMs: 60_000 } */
  retry?: { firstMs: number; maxMs: number } | undefined
  /** Days for which a copy is known again: not less than the topics keep a record. @default 14 */
  retentionDays?: number | undefined
  /** Time after which Kafka gives the partitions of a silent member to others. @default 30_000 */
  sessionTimeoutMs?: number | undefined
}

/** Days for which a copy is known again: longer than Kafka keeps a record by default, and the offsets of an empty group (7 both). */
const defaultRetentionDays = 14

/** The defaults of {@link InboxOptions}. */
export const inboxDefaults = Object.freeze({
  handlerTimeoutMs: 30_000,
  retry: Object.freeze({ firstMs: 500, maxMs: 60_000 }),
  retentionDays: defaultRetentionDays,
  sessionTimeoutMs: 30_000,
})

/** The options without their types, with the defaults filled in. */
export interface ResolvedInbox {
  prisma: PrismaLike
  consumer: string
  events: Catalog
  handlers: Readonly<Record<string, (events: unknown, tx: SqlClient) => unknown>>
  deadLetter: DeadLetterOptions | undefined
  batch: number | undefined
  handlerTimeoutMs: number
  retry: { firstMs: number; maxMs: number }
  retentionDays: number
  sessionTimeoutMs: number
  schema: string | undefined
  tablePrefix: string | undefined
}

/** Checks the options and fills in the defaults. Throws INVALID_OPTION. */
export function resolveInbox(options: InboxOptions<never, Catalog, number | undefined>): ResolvedInbox {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const prisma = prismaLike(given.prisma)
  if (!prisma) throw wrongOption('prisma', 'a Prisma client')
  const resolved = { ...inboxDefaults, ...given, prisma } as unknown as ResolvedInbox
  const { consumer, events, handlers, deadLetter, batch, retry, retentionDays } = resolved
  checkConsumer(consumer)
  if (typeof events?.find !== 'function') throw wrongOption('events', 'a catalog that defineEvents() made')
  checkHandlers(handlers, events)
  checkWhole('deadLetter.after', deadLetter?.after, 1_000_000)
  checkWhole('batch', batch, 10_000)
  checkWhole('retry.firstMs', retry.firstMs, 3_600_000)
  checkWhole('retry.maxMs', retry.maxMs, 3_600_000)
  checkWhole('handlerTimeoutMs', resolved.handlerTimeoutMs, 3_600_000)
  checkWhole('sessionTimeoutMs', resolved.sessionTimeoutMs, 3_600_000)
  checkRetention(retentionDays)
  return resolved
}

function checkWhole(field: string, value: number | undefined, most: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= most)) return
  throw wrongOption(field, `a whole number from 1 to ${most}`)
}

/** Throws INVALID_OPTION. */
export function checkConsumer(consumer: unknown): asserts consumer is string {
  if (typeof consumer === 'string' && consumer !== '') return
  const remedy = 'Give each consumer a name of its own, for example "mail".'
  throw new OutboxError('INVALID_OPTION', 'consumer is not a name.', { field: 'consumer', remedy })
}

/** Throws INVALID_OPTION. */
export function checkRetention(days: unknown): void {
  if (typeof days === 'number' && days > 0 && days <= 36_500) return
  const remedy = 'Give a number of days above 0, and not less than the topics keep a record.'
  throw new OutboxError('INVALID_OPTION', 'retentionDays is wrong.', { field: 'retentionDays', remedy })
}
