import { readFileSync } from 'node:fs'
import { enqueue, enqueueMany, type OutboxOptions, withOutbox } from '../../src/prisma8.ts'
import { describeEnqueue } from '../enqueue/behaviour.ts'
import type { Clients } from '../enqueue/versions.ts'
import { connect8, type Tx } from './shop.ts'

type Db = ReturnType<typeof connect8>['db'] & { outbox?: unknown }
type Create = { data: { customer: string; total?: string } }

const unwrapped = new WeakMap<object, { db: Db; end: () => Promise<unknown> }>()

/** A client of Prisma 8 by the names of Prisma 7 that the suite uses. */
function face(db: Db, end: () => Promise<unknown>) {
  const named = {
    outbox: db.outbox,
    $transaction: (callback: (tx: object) => PromiseLike<unknown>) => {
      const order = (tx: Tx) => ({ create: ({ data }: Create) => tx.orm.public.Order.create(data as never) })
      return db.transaction((tx) => callback(Object.assign(Object.create(tx), { order: order(tx) })))
    },
    $disconnect: async () => {
      await db.close()
      await end()
    },
  }
  unwrapped.set(named, { db, end })
  return named as never
}

const clients: Clients = {
  connect(url, { connections }, onQuery) {
    const { db, end } = connect8(url, { ...(connections && { connections }), onQuery })
    return face(db, end)
  },
  boxed(client, options) {
    const { db, end } = unwrapped.get(client)!
    return face(withOutbox(db, options as OutboxOptions<undefined>), end)
  },
  enqueue: (tx, ...given) => enqueue(tx, ...given),
  enqueueMany: (tx, ...given) => enqueueMany(tx, ...given),
  rendered: (total, placedAt) => ({ total, placedAt }),
}

const { dependencies } = JSON.parse(readFileSync(new URL('./package.json', import.meta.url), 'utf8'))

describeEnqueue({
  name: `Prisma ${dependencies['@prisma/orm-postgres']}`,
  major: 'Prisma 8',
  load: async () => clients,
})
