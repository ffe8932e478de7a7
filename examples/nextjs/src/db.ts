import { PrismaPg } from '@prisma/adapter-pg'
import { outbox } from 'prisma-extension-outbox'
import { PrismaClient } from './generated/prisma/client'

const createPrisma = () =>
  new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL! }) }).$extends(outbox())

// One client for all reloads of `next dev`.
const shared = globalThis as { prisma?: ReturnType<typeof createPrisma> }
shared.prisma ??= createPrisma()
export const prisma = shared.prisma
