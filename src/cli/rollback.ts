import { placeSql, takeRemains } from '../doctor/questions/take-remains.ts'
import { type TriedClient, tryRollback } from '../doctor/questions/try-rollback.ts'
import { judgeRollback, type RollbackFacts, untriedRollback } from '../doctor/rollback.ts'
import type { Verdict } from '../doctor/verdict.ts'
import { OutboxError } from '../message/errors.ts'
import type { TableSet } from '../message/tables.ts'
import { loadModule } from './module.ts'

/** A client of the application, and the name that it has there. */
export interface NamedClient {
  name: string
  client: TriedClient
}

/** The Prisma clients that a module of the application exports; its path is relative to the folder. Throws NOT_FOUND and INVALID_OPTION. */
export async function loadClients(path: string, folder: string): Promise<NamedClient[]> {
  const named = Object.entries(await loadModule(path, 'client', folder)).flatMap(([name, client]) =>
    isClient(client) ? [{ name: `${name} of ${path}`, client }] : [],
  )
  if (named.length > 0) return named.filter(({ client }, i) => named.findIndex((other) => other.client === client) === i)
  throw new OutboxError('INVALID_OPTION', `${path} exports no Prisma client.`, {
    field: 'client',
    remedy:
      'Export the client that the application uses, with its extensions: export const prisma = new PrismaClient(…).$extends(…).',
  })
}

/** By its shape: the generated client is the application's own. */
function isClient(value: unknown): value is TriedClient {
  const { $transaction, $disconnect } = (value ?? {}) as Record<string, unknown>
  return typeof $transaction === 'function' && typeof $disconnect === 'function'
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
  const { bucket, ids, place, refused, trouble } = await tryRollback(client, where.set, placeSql(where.set))
  try {
    const remains = await takeRemains(where, bucket, Object.values(ids))
    const stayed = { enqueue: remains.stayed.includes(ids.enqueue), model: remains.stayed.includes(ids.model) }
    return { stayed, refused, samePlace: place === remains.place, trouble }
  } catch (error) {
    // Without the tables, or the right to delete from them. What hindered the client says more.
    return { stayed: { enqueue: false, model: false }, refused, samePlace: false, trouble: trouble ?? error }
  }
}
