import 'dotenv/config'
import { PrismaPg } from '@prisma/adapter-pg'
import { outbox } from 'prisma-extension-outbox'
import { PrismaClient } from '../generated/prisma/client.js'
import { events } from './events.js'

const adapter = new PrismaPg({ connectionString: process.env.DATABASE_URL! })

export const prisma = new PrismaClient({ adapter }).$extends(outbox({ events }))
