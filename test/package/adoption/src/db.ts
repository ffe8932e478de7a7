import { PrismaPg } from '@prisma/adapter-pg'
import { outbox, withOutbox } from 'prisma-extension-outbox'
import { events } from './events'
import { PrismaClient } from './generated/client'

export const base = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL ?? '' }) })
export const prisma = base.$extends(outbox())
export const wrapped = withOutbox(base)
export const typed = base.$extends(outbox({ events }))
export const wrappedTyped = withOutbox(base, { events })
