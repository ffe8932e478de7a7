import { type Catalog, outbox, withOutbox } from '../../src/index.ts'
import { withOutbox as withOutbox8 } from '../../src/prisma8.ts'
import { loadPrisma6, type PrismaVersion, prisma7 } from '../enqueue/clients.ts'
import { connect8 } from '../prisma8/shop.ts'
import { type Major, type Part, testedWith } from '../support/prisma-majors.ts'

// The versions of Prisma that the tests of consumers run with. Clients are typed as those of Prisma 7; tests use what all versions have.

type Adapter = InstanceType<typeof prisma7.PrismaPg>

/** How a client is connected. */
export interface ConnectOptions {
  /** Connections of its pool. */
  max?: number | undefined
  schema?: string | undefined
  /** Stands between Prisma 6 or 7 and its driver adapter. */
  adapt?: ((adapter: Adapter) => Adapter) | undefined
}

const plain = (
  { PrismaClient, PrismaPg }: PrismaVersion,
  connectionString: string,
  { max = 10, schema, adapt = (adapter) => adapter }: ConnectOptions = {},
) => new PrismaClient({ adapter: adapt(new PrismaPg({ connectionString, max }, schema === undefined ? undefined : { schema })) })

const extended = (client: ReturnType<typeof plain>) => client.$extends(outbox())
const wrapped = <C extends Catalog>(client: ReturnType<typeof plain>, events: C) => withOutbox(client, { events })

export type Client = ReturnType<typeof extended>
export type Tx = Parameters<Parameters<Client['$transaction']>[0]>[0]
type Wrapped<C extends Catalog> = ReturnType<typeof wrapped<C>>

/** Raw SQL in a transaction, as an application of its version runs it. */
export interface RawSql {
  execute(strings: TemplateStringsArray, ...values: unknown[]): Promise<number>
  /** Asks for one number. */
  number(sql: string): Promise<number>
}

/** A version of Prisma. */
export interface Version {
  name: Major
  /** With the outbox. */
  connect(url: string, options?: ConnectOptions): Client
  /** With the outbox only on the client of each transaction, and a catalog. */
  connectWrapped<C extends Catalog>(url: string, events: C): Wrapped<C>
  /** Runs a transaction that a test begins itself. */
  transaction<R>(client: Client, callback: (tx: Tx) => Promise<R>): Promise<R>
  /** Places an order. */
  order(tx: Tx, customer: string): Promise<{ customer: string }>
}

const version7 = (name: Major, version: PrismaVersion): Version => ({
  name,
  connect: (url, options) => extended(plain(version, url, options)),
  connectWrapped: (url, events) => wrapped(plain(version, url), events),
  transaction: (client, callback) => client.$transaction(callback, { maxWait: 20_000, timeout: 20_000 }),
  order: (tx, customer) => tx.order.create({ data: { customer } }),
})

type Db8 = ReturnType<typeof connect8>['db']
type Tx8 = Parameters<Parameters<Db8['transaction']>[0]>[0]

/** A client of Prisma 8 that tests disconnect as one of Prisma 7. */
const closing = <D extends object>(db: D, close: () => Promise<unknown>): never =>
  Object.create(db, { $disconnect: { value: close } }) as never

const version8: Version = {
  name: 'Prisma 8',
  connect(url, { max, schema } = {}) {
    const { db, end } = connect8(url, { ...(max === undefined ? {} : { connections: max }) })
    return closing(withOutbox8(db, { ...(schema === undefined ? {} : { schema }) }), end)
  },
  connectWrapped(url, events) {
    const { db, end } = connect8(url)
    return closing(withOutbox8(db, { events }), end)
  },
  transaction: (client, callback) => (client as unknown as Db8).transaction((tx) => callback(tx as unknown as Tx)),
  order: async (tx, customer) => (tx as unknown as Tx8).orm.public.Order.create({ customer }),
}

/** Makes plans for the transactions of all clients of the shop's contract; never connected. */
const lane = connect8('postgresql://127.0.0.1:1/none').db.raw

/** Raw SQL in a transaction of any version. */
export const raw = (tx: Tx): RawSql => ('invalidated' in tx ? raw8(tx as unknown as Tx8) : raw7(tx))

/** A statement that is made, not written. */
export const textOf = (sql: string): TemplateStringsArray => Object.assign([sql], { raw: [sql] })

const raw7 = (tx: Tx): RawSql => ({
  execute: (strings, ...values) => tx.$executeRaw(strings, ...values),
  number: async (sql) => (await tx.$queryRaw<{ n: number }[]>(textOf(`SELECT ${sql} AS n`)))[0]!.n,
})

const raw8 = (tx: Tx8): RawSql => ({
  async execute(strings, ...values) {
    return (
      await tx.execute(
        lane
          .sql(strings, ...(values as never[]))
          .affectedCount()
          .build(),
      )
    ).affectedRows
  },
  async number(sql) {
    const rows = await tx.query(
      lane
        .sql(textOf(`SELECT ${sql} AS n`))
        .returnsRow({ n: 'pg/int4@1' })
        .build(),
    )
    return rows[0]!.n as number
  },
})

export const prisma7Version = version7('Prisma 7.10', prisma7)

const all: readonly Version[] = [version7('Prisma 6.19', await loadPrisma6()), prisma7Version, version8]

/** The versions that a part is tested with. */
export const versionsFor = (part: Part): Version[] => testedWith(part).map(versionNamed)

/** A version by its name: a child process gets that of its parent. */
export const versionNamed = (name: string | undefined): Version => all.find((one) => one.name === name) ?? prisma7Version
