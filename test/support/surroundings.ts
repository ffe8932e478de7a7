import { hasPgbouncer, type Pgbouncer, startPgbouncer } from './pgbouncer.ts'

/** What the databases of a test run can be like, besides the default. */
export const surroundings = ['serializable', 'kolkata', 'pgbouncer'] as const

/** One of {@link surroundings}. */
export type Surrounding = (typeof surroundings)[number]

/** Whether a word names a surrounding. */
export const isSurrounding = (word: string): word is Surrounding => surroundings.some((one) => one === word)

/** The surrounding that `OUTBOX_TEST_DATABASE` asks for. A wrong word must not silently test the default once more. */
export function askedSurrounding(): Surrounding | undefined {
  const asked = process.env.OUTBOX_TEST_DATABASE
  if (!asked) return undefined
  if (!isSurrounding(asked)) throw new Error(`OUTBOX_TEST_DATABASE is "${asked}", and not one of ${surroundings.join(', ')}.`)
  if (asked === 'pgbouncer' && !hasPgbouncer) throw new Error('PgBouncer is not installed (apt-get install pgbouncer).')
  return asked
}

/** Settings of a new database that every later connection to it starts with. */
export function databaseSettings(surrounding: Surrounding | undefined, name: string): string[] {
  if (surrounding === 'serializable') return [`ALTER DATABASE "${name}" SET default_transaction_isolation = 'serializable'`]
  if (surrounding === 'kolkata') return [`ALTER DATABASE "${name}" SET TimeZone = 'Asia/Kolkata'`]
  return []
}

/**
 * The pooler before a test database, where the surrounding is one. Five server connections: fewer than a test's relays and processes
 * have, so that their statements share connections.
 */
export async function poolerOf(surrounding: Surrounding | undefined, url: string): Promise<Pgbouncer | undefined> {
  return surrounding === 'pgbouncer' ? await startPgbouncer(url, 5) : undefined
}
