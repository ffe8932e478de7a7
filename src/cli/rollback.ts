import { placeSql, takeRemains } from '../doctor/questions/take-remains.ts'
import { tried8 } from '../doctor/questions/tried-prisma8.ts'
import { type PrismaClient7, type TriedClient, tried7, tryRollback } from '../doctor/questions/try-rollback.ts'
import { judgeRollback, type RollbackFacts, untriedRollback } from '../doctor/rollback.ts'
import type { Verdict } from '../doctor/verdict.ts'
import { destinationOf } from '../enqueue/prisma8-destinations.ts'
import { OutboxError } from '../message/errors.ts'
import type { TableSet } from '../message/tables.ts'
import { isPrisma8Client } from '../prisma/prisma8.ts'
import { loadModule } from './module.ts'

/** A client of the application, and the name that it has there. */
export interface NamedClient {
  name: string
  client: TriedClient
}

/** The Prisma clients that a module of the application exports; its path is relative to the folder. Throws NOT_FOUND and INVALID_OPTION. */
export async function loadClients(path: string, folder: string): Promise<NamedClient[]> {
  const values = Object.entries(await loadModule(path, 'client', folder))
  const named = values
    .filter(([, value], i) => values.findIndex(([, other]) => other === value) === i)
    .flatMap(([name, value]) => {
      const client = triedClient(value)
      return client ? [{ name: `${name} of ${path}`, client }] : []
    })
  if (named.length > 0) return named
  const [what, remedy] = values.some(([, value]) => isPrisma8Client(value))
    ? ['no client of Prisma 8 that has the outbox', 'wrapped: export const db = withOutbox(postgres(…)).']
    : ['no Prisma client', 'with its extensions: export const prisma = new PrismaClient(…).$extends(…).']
  throw new OutboxError('INVALID_OPTION', `${path} exports ${what}.`, {
    field: 'client',
    remedy: `Export the client that the application uses, ${remedy}`,
  })
}

/** By its shape: a generated client is the application's own. Of Prisma 8 a module may export the client that it wraps, too. */
function triedClient(value: unknown): TriedClient | undefined {
  const { $transaction, $disconnect } = (value ?? {}) as Partial<PrismaClient7>
  if (typeof $transaction === 'function' && typeof $disconnect === 'function') return tried7(value as PrismaClient7)
  return isPrisma8Client(value) && destinationOf(value) ? tried8(value) : undefined
}

/** Whether a transaction of each client takes back what was written in it. What stays is removed. */
export async function rollbackVerdicts(
  where: { databaseUrl: string; set: TableSet },
  clients: readonly NamedClient[] | undefined,
): Promise<Verdict[]> {
  if (!clients) return [untriedRollback]
  const verdicts: Verdict[] = []
  for (const { name, client } of clients) {
    verdicts.push(judgeRollback(name, await triedRollback(where, client)))
  }
  return verdicts
}

async function triedRollback(where: { databaseUrl: string; set: TableSet }, client: TriedClient): Promise<RollbackFacts> {
  const { way } = client
  const { bucket, ids, place, refused, trouble } = await tryRollback(client, where.set, placeSql(where.set))
  try {
    const remains = await takeRemains(where, bucket, Object.values(ids))
    const stayed = { enqueue: remains.stayed.includes(ids.enqueue), own: remains.stayed.includes(ids.own) }
    return { stayed, way, refused, samePlace: place === remains.place, trouble }
  } catch (error) {
    // Without the tables, or the right to delete from them. What hindered the client says more.
    return { stayed: { enqueue: false, own: false }, way, refused, samePlace: false, trouble: trouble ?? error }
  }
}
