import { createRequire } from 'node:module'
import { join } from 'node:path'
import { PrismaPg } from '@prisma/adapter-pg'
import { prisma6 } from '../support/installed.ts'
import { PrismaClient } from './generated/client/client.ts'

export type { PrismaClient }

/** A generated client and its driver adapter, of one version of Prisma. */
export interface PrismaVersion {
  name: string
  /** Nested transactions through savepoints came with 7.5. */
  nested: boolean
  PrismaClient: typeof PrismaClient
  PrismaPg: typeof PrismaPg
}

export const prisma7: PrismaVersion = { name: 'Prisma 7.10', nested: true, PrismaClient, PrismaPg }

/** The same schema through Prisma 6.19, typed as Prisma 7: the tests use what both have. */
export async function loadPrisma6(): Promise<PrismaVersion> {
  const modules = await prisma6()
  const adapter = createRequire(join(modules, 'here.js')).resolve('@prisma/adapter-pg')
  const generated = new URL('../support/prisma6/generated/client/client.ts', import.meta.url).href
  const [client, { PrismaPg }] = await Promise.all([import(generated), import(adapter)])
  return { name: 'Prisma 6.19', nested: false, PrismaClient: client.PrismaClient, PrismaPg }
}

/** Tables of the test schema beside the outbox. */
export const shopSql = `
CREATE TABLE "orders" ("id" SERIAL PRIMARY KEY, "customer" TEXT NOT NULL, "total" DECIMAL NOT NULL DEFAULT 0,
  "placed_at" TIMESTAMP NOT NULL DEFAULT now());
CREATE TABLE "p_outbox" (LIKE "outbox" INCLUDING ALL);
CREATE SCHEMA "Shop ""2""";
CREATE TABLE "Shop ""2"""."outbox" (LIKE "outbox" INCLUDING ALL);
-- A message that the database refuses, as it refuses one when a disk is full.
ALTER TABLE "outbox" ADD CONSTRAINT "no_poison" CHECK ("topic" <> 'poison');`
