import type { Catalog } from '../../events/catalog.ts'
import type { TableSet } from '../../message/tables.ts'
import { wrongOption } from '../failure.ts'
import { checkHandlers, type Handlers, type ReceivedEvent, type TransactionOf, topicsOf } from '../handlers.ts'
import { prismaLike } from '../prisma8.ts'
import type { SqlClient } from '../statements.ts'
import { type InboxPlace, inboxSet } from '../table-set.ts'
import type { PrismaLike } from '../transaction.ts'

/** Options of `createProjection()`. */
export interface ProjectionOptions<Client, C extends Catalog> extends InboxPlace {
  /** The Prisma client of the database with the read model. Of Prisma 8 what `withOutbox()` returns. */
  prisma: Client
  /** Name of the projection and of its group. To rebuild the read model, give another name, beside the old one. */
  name: string
  /** The catalog of the events. */
  events: C
  /** What each event changes in the read model. No effects outside of the database: a rebuild repeats everything. */
  handlers: Handlers<C['events'], TransactionOf<NoInfer<Client>>, undefined>
  /** Topics to read. @default those of the events that have a handler */
  topics?: readonly string[] | undefined
  /** Begin with the oldest record there is, also where older ones have been deleted: the read model lacks them. @default false */
  allowMissingStart?: boolean | undefined
  /** Records of one transaction at most. @default 500 */
  batch?: number | undefined
}

/** Records of one transaction: more make long transactions, fewer cost commits. */
const defaultBatch = 500

/** The options without their types, with the defaults filled in. */
export interface ResolvedProjection {
  prisma: PrismaLike
  name: string
  events: Catalog
  handlers: Readonly<Record<string, (event: ReceivedEvent, tx: SqlClient) => unknown>>
  topics: readonly string[]
  allowMissingStart: boolean
  batch: number
  set: TableSet
}

/** Checks the options and fills in the defaults. Throws INVALID_OPTION. */
export function resolveProjection(options: ProjectionOptions<never, Catalog>): ResolvedProjection {
  const { name, events, handlers, batch = defaultBatch, allowMissingStart = false } = options as unknown as ResolvedProjection
  const prisma = prismaLike(options.prisma)
  if (!prisma) throw wrongOption('prisma', 'a Prisma client')
  if (typeof name !== 'string' || name === '') throw wrongOption('name', 'a name')
  if (typeof events?.find !== 'function') throw wrongOption('events', 'a catalog that defineEvents() made')
  checkHandlers(handlers, events)
  if (!Number.isInteger(batch) || batch < 1 || batch > 100_000) throw wrongOption('batch', 'a whole number from 1 to 100000')
  const topics = options.topics ?? topicsOf(handlers, events)
  const set = inboxSet(prisma, 'projection', options)
  return { prisma, name, events, handlers, topics, allowMissingStart, batch, set }
}
