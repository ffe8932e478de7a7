import { enqueue, type Prisma8Client, withOutbox } from 'prisma-extension-outbox/prisma8'

/** The wrapper of Prisma 8, whose client needs no package here to be described. */
export const wrapped8 = (db: Prisma8Client) => withOutbox(db, { wake: false })

export const place8 = (db: Prisma8Client) =>
  wrapped8(db).transaction((tx) => enqueue(tx, { topic: 'order_placed', payload: { total: 1 } }))
