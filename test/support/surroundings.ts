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

/**
 * Tests about the connection itself, by what their names begin with or contain: the pooler logs in with its own role, refuses start-up
 * parameters, swallows notifications, and puts a test's own statement on the very backend that it ends.
 */
export const needDirectConnection = [
  'a lost LISTEN connection is noticed at once',
  'a wish stands on its rows until a relay answers, and wakes the relays',
  'the role of ops/grants.sql can do all that the commands do',
  'no server, no tables, no writing, and a certificate that is not there are told apart',
  'with a wrong URL, password or name, and the error shows no secret',
  'that is read-only, as a replica is',
  'with a newer table format, a sequence that is behind, a cached sequence, or row-level security',
  'a session ends as a whole when one of its backends is terminated',
] as const
