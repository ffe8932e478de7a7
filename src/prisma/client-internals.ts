// What the package reads inside a Prisma client beyond its public interface: the only file that does. Each private name stands in `Inside`,
// with what happens where a version of Prisma lacks it. Used by enqueue, inbox, the doctor and testing.

/** The private names. All are optional: a client of another version, or one in the user's tests, may lack any. */
interface Inside {
  /** On Prisma's public list of what a transaction's client lacks; `$transaction` no longer is, since 7.5. */
  $connect?: unknown
  /** The same object for all extended clients of one PrismaClient. Without it an outer client in a transaction is not recognized. */
  _engineConfig?: {
    adapter?: { options?: { schema?: string }; config?: { connectionString?: unknown } }
    inlineDatasources?: Record<string, { url?: { value?: string | null; fromEnvVar?: string | null } }>
    overrideDatasources?: Record<string, { url?: string }>
    env?: Record<string, string | undefined>
  }
  /** The Prisma schema. Without it the table is `outbox`, in the schema of the connection. */
  _runtimeDataModel?: {
    models?: Record<
      string,
      { dbName?: string | null; schema?: string | null; fields: { name: string; dbName?: string | null }[] }
    >
  }
  /** Id of a savepoint, 7.5 and newer. Without both ids the scope is that of the asynchronous context. */
  [scopeContext]?: { scopeId?: unknown }
  /** Id of a transaction, 6.x to 7.4. */
  [idOfTransaction]?: unknown
}

const scopeContext: unique symbol = Symbol.for('prisma.client.transaction.scope_context')
const idOfTransaction: unique symbol = Symbol.for('prisma.client.transaction.id')

/** A model of the Prisma schema. */
export interface PrismaModel {
  name: string
  /** Its name as the client spells it. */
  property: string
  table: string
  /** Its `@@schema`. */
  schema: string | undefined
  /** Its fields by their columns. */
  fields: Record<string, string>
}

/** Whether the client is that of a transaction. */
export function inTransaction(client: object): boolean {
  try {
    return typeof (client as Inside).$connect !== 'function'
  } catch {
    // The client that jest-prisma puts around a test's transaction throws for what a transaction's client lacks.
    return true
  }
}

/** Prisma's id of a transaction or of its savepoint; undefined if it has neither. */
export function transactionId(tx: object): unknown {
  const inside = tx as Inside
  return inside[scopeContext]?.scopeId ?? inside[idOfTransaction]
}

/** The same object for all extended clients of one PrismaClient. */
export const ownerOf = (client: object): unknown => (client as Inside)._engineConfig

/** The models of the client's schema; undefined if the client does not show them. */
export function modelsOf(client: object): PrismaModel[] | undefined {
  const models = (client as Inside)._runtimeDataModel?.models
  return (
    models &&
    Object.entries(models).map(([name, { dbName, schema, fields }]) => ({
      name,
      property: name[0]!.toLowerCase() + name.slice(1),
      table: dbName ?? name,
      schema: schema ?? undefined,
      fields: Object.fromEntries(fields.map((field) => [field.dbName ?? field.name, field.name])),
    }))
  )
}

/** The PostgreSQL schema that the client works in, if its driver adapter or its URL names one. */
export function schemaOf(client: object): string | undefined {
  const { adapter, inlineDatasources = {}, overrideDatasources, env } = (client as Inside)._engineConfig ?? {}
  if (adapter?.options?.schema) return adapter.options.schema
  if (adapter) return schemaInUrl(adapter.config?.connectionString)
  const [name, source] = Object.entries(inlineDatasources)[0] ?? []
  const { value, fromEnvVar } = source?.url ?? {}
  const named = fromEnvVar == null ? undefined : (env?.[fromEnvVar] ?? process.env[fromEnvVar])
  return schemaInUrl(overrideDatasources?.[name ?? '']?.url ?? value ?? named)
}

function schemaInUrl(url: unknown): string | undefined {
  if (typeof url !== 'string' || !URL.canParse(url)) return undefined
  return new URL(url).searchParams.get('schema') || undefined
}
