import {
  type EnqueueOptions,
  enqueue,
  enqueueMany,
  type Message,
  type OutboxOptions,
  outbox,
  type TransactionClient,
} from '../../src/index.ts'
import type { ConnectOptions } from './behaviour/shop.ts'
import { type PrismaVersion, prisma7 } from './clients.ts'

/** What not every version of Prisma has, as the line says that tells which tests are left out. */
export const features = {
  extensions: 'client extensions: there is no $extends',
  arrayForm: 'the array form of a transaction',
  nested: 'nested transactions through savepoints, which came with 7.5',
  models: 'a model of the outbox in the client',
  functionForm: 'enqueue() on the transaction of a client without the outbox',
  settings: 'isolation level and timeout as settings of a transaction',
} as const

export type Feature = keyof typeof features

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
  name: string
  lacks: readonly Feature[]
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
export const version7 = (name: string, load: () => Promise<PrismaVersion>, lacks: readonly Feature[]): Version => ({
  name,
  lacks,
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

export const defaultVersion = version7(prisma7.name, async () => prisma7, [])
