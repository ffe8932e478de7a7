import type { Catalog } from '../events/catalog.ts'
import { OutboxError } from '../message/errors.ts'
import { defaultMaxBytes } from '../message/message.ts'
import { isPrefix, prefixRange } from '../message/tables.ts'

/** Where the messages go, and how large they may be. */
export interface EnqueueOptions<M extends string = string, C extends Catalog | undefined = Catalog | undefined> {
  /** The events that may be enqueued, and nothing else. @default none: any message with a topic */
  events?: C
  /** Name of the outbox model as the client spells it: `outboxMessage` for a model `OutboxMessage`. @default 'outbox' */
  model?: M | undefined
  /**
   * PostgreSQL schema of the outbox tables.
   * @default the model's `@@schema`, else the `schema` option of the driver adapter, else `?schema=` of the URL, else 'public'
   */
  schema?: string | undefined
  /**
   * Prefix of the outbox tables, `p_` for `p_outbox`: for a client that does not show its models, and to write to another set of tables.
   * @default the table of the model without `outbox`
   */
  tablePrefix?: string | undefined
  /** Most bytes of key, value and headers together. Raise `max.message.bytes` of the topic with it. @default 900_000 */
  maxBytes?: number | undefined
}

/** Options of `outbox()` and `withOutbox()`. */
export interface OutboxOptions<M extends string = string, C extends Catalog | undefined = Catalog | undefined>
  extends EnqueueOptions<M, C> {
  /** Wake the relays after a commit with a NOTIFY, outside of the transaction and at most 20 times a second. @default true */
  wake?: boolean | undefined
  /**
   * Refuse an enqueue outside of a transaction. Turn it off for test libraries that put their own transaction around a test, or for
   * messages that belong to no other write. @default true
   */
  requireTransaction?: boolean | undefined
}

/** The defaults of {@link OutboxOptions}; `schema` and `tablePrefix` are found out from the client, and `events` has none. */
export const outboxDefaults = Object.freeze({
  model: 'outbox',
  maxBytes: defaultMaxBytes,
  wake: true,
  requireTransaction: true,
} satisfies OutboxOptions)

/** Options with the defaults filled in. */
export type ResolvedOptions = {
  [K in Exclude<keyof OutboxOptions, 'schema' | 'tablePrefix' | 'events'>]-?: NonNullable<OutboxOptions[K]>
} & {
  schema: string | undefined
  tablePrefix: string | undefined
  events: Catalog | undefined
}

const checks: Record<keyof OutboxOptions, [ok: (value: unknown) => boolean, range: string]> = {
  events: [isCatalog, 'a catalog that defineEvents() made'],
  model: [isName, 'the name of a model, for example "outboxMessage"'],
  schema: [isName, 'the name of a PostgreSQL schema'],
  tablePrefix: [isPrefix, prefixRange],
  maxBytes: [(value) => Number.isSafeInteger(value) && (value as number) > 0, 'a whole number of bytes above 0'],
  wake: [isBoolean, 'true or false'],
  requireTransaction: [isBoolean, 'true or false'],
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

/** By its shape: two copies of the package have two classes. */
function isCatalog(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof (value as Partial<Catalog>).find === 'function'
}

function isBoolean(value: unknown): boolean {
  return typeof value === 'boolean'
}

/** Checks the options and fills in the defaults. Throws INVALID_OPTION, with name and range. */
export function resolveOptions(options: OutboxOptions): ResolvedOptions {
  const resolved = {
    ...outboxDefaults,
    schema: undefined,
    tablePrefix: undefined,
    events: undefined,
    ...withoutUndefined(options),
  }
  for (const [name, value] of Object.entries(resolved)) {
    const check = Object.hasOwn(checks, name) ? checks[name as keyof OutboxOptions] : undefined
    const refuse = (what: string, remedy: string) => new OutboxError('INVALID_OPTION', what, { field: name, remedy })
    if (!check) throw refuse(`There is no option ${name}.`, `Known: ${Object.keys(checks).join(', ')}.`)
    if (value !== undefined && !check[0](value)) throw refuse(`The option ${name} is wrong.`, `It must be ${check[1]}.`)
  }
  return resolved
}

function withoutUndefined<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as never
}
