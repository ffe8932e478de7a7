import {
  type EnqueueOptions,
  enqueue,
  enqueueMany,
  type Message,
  type OutboxOptions,
  outbox,
  type TransactionClient,
} from '../../src/index.ts'
import type { Major } from '../support/prisma-majors.ts'
import type { ConnectOptions } from './behaviour/shop.ts'
import { type PrismaVersion, prisma7 } from './clients.ts'

/** Client and transaction, typed as Prisma 7: the tests use what all versions have, or leave out what one lacks. */
export type Client = ReturnType<typeof connect7>

const extended = (client: Client, options: OutboxOptions) =>
  client.$extends(outbox(options as OutboxOptions<'outbox', undefined>))

/** A client with the outbox. */
export type Boxed = ReturnType<typeof extended>

/** The clients of one version. */
export interface Clients {
  /** A client that tells `onQuery` each statement that it has sent. */
  connect(url: string, options: ConnectOptions, onQuery: (sql: string) => void): Client
  boxed(client: Client, options: OutboxOptions): Boxed
  enqueue(tx: TransactionClient, message: Message, options?: EnqueueOptions<string, undefined>): Promise<string>
  enqueueMany(tx: TransactionClient, messages: readonly Message[], options?: EnqueueOptions<string, undefined>): Promise<string[]>
  /** Total and time of an order, as the client reads them and JSON writes them. */
  rendered(total: string, placedAt: string): { total: string; placedAt: string }
}

/** A version of Prisma that the suite runs with. */
export interface Version {
  /** What it has. */
  major: Major
  /** @default the major */
  name?: string
  load(): Promise<Clients>
}

function connect7(
  { PrismaClient, PrismaPg }: PrismaVersion,
  url: string,
  { schema, connections = 10, adapt = (adapter) => adapter }: ConnectOptions,
  onQuery: (sql: string) => void,
) {
  const adapter = new PrismaPg({ connectionString: url, max: connections }, schema === undefined ? undefined : { schema })
  const client = new PrismaClient({ adapter: adapt(adapter), log: [{ emit: 'event', level: 'query' }] })
  client.$on('query', ({ query }) => onQuery(query))
  return client
}

/** Prisma 6 and 7. */
export const version7 = (major: Major, load: () => Promise<PrismaVersion>): Version => ({
  major,
  async load() {
    const version = await load()
    return {
      connect: (...how) => connect7(version, ...how),
      boxed: extended,
      enqueue,
      enqueueMany,
      rendered: (total, placedAt) => ({
        total: String(Number(total)),
        placedAt: new Date(`${placedAt.replace(' ', 'T')}Z`).toISOString(),
      }),
    }
  },
})

export const defaultVersion = version7('Prisma 7.10', async () => prisma7)
