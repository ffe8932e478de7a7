// The entry "prisma-extension-outbox/prisma8". Catalogs and errors are those of the main entry, which loads nothing of Prisma.
export type { EventMethods, MessageMethods, OutboxMethods } from './enqueue/enqueue.ts'
export { enqueue, enqueueMany, withOutbox } from './enqueue/prisma8.ts'
export type { EnqueueOptions, OutboxOptions, OutboxTransaction, TransactionOf, WithOutbox } from './enqueue/prisma8-types.ts'
export { outbox, outboxRuntime } from './prisma/contract-extension.ts'
export type { Prisma8Client } from './prisma/prisma8.ts'
