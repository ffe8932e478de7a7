import pg from 'pg'
import { isOutboxError, OutboxError } from '../../message/errors.ts'
import { isPrefix, prefixRange, type TableSet, tablesOf } from '../../message/tables.ts'
import type { Identity, Store, StoreSession } from '../store.ts'
import { checkDatabase } from './check.ts'
import { refuseUnknownTls } from './encryption.ts'
import { refusal } from './errors.ts'
import { codeOf, connectionConfig, Line } from './line.ts'
import { listenForWakes } from './listen.ts'
import { LowWaterMark } from './low-water-mark.ts'
import { type Lines, PostgresSession } from './session.ts'
import { statements } from './statements.ts'

/** Where a set of tables is. */
export interface Place {
  /** `postgresql://…`; parameters that only Prisma knows are ignored. */
  databaseUrl: string
  /** PostgreSQL schema of the tables. Default: the URL's `schema` parameter, else `public`. */
  schema?: string | undefined
  /** Prefix of the tables: `p_` for `p_outbox`, `p_outbox_lease`, and so on. @default '' */
  tablePrefix?: string | undefined
}

/** Where the outbox tables are, and how to listen. */
export interface PostgresStoreOptions extends Place {
  /** URL for LISTEN, where a pooler in between would swallow notifications. Default: `databaseUrl`; false polls only. */
  listenUrl?: string | false | undefined
}

/** Milliseconds a statement of the relay may take on the server, and may wait for a lock. */
const limits = { statementTimeoutMs: 5_000, lockTimeoutMs: 2_000 }

/**
 * {@link Store} on PostgreSQL 15 and newer, through `pg`; also behind PgBouncer in transaction mode.
 *
 * @throws OutboxError DATABASE_REFUSED for a malformed URL, INVALID_OPTION for a wrong prefix.
 */
export function postgresStore(options: PostgresStoreOptions): Store {
  const set = tableSetOf(options)
  const listenUrl = options.listenUrl === undefined ? options.databaseUrl : options.listenUrl
  if (listenUrl !== false) parseUrl(listenUrl, 'OUTBOX_LISTEN_URL')
  return {
    connect: (me) => connect(options.databaseUrl, set, me),
    listen(onNotify, onLost, signal) {
      if (listenUrl !== false) listenForWakes(listenUrl, { onNotify, onLost }, signal)
    },
  }
}

async function connect(databaseUrl: string, set: TableSet, me: Identity): Promise<StoreSession> {
  const tables = tablesOf(set.schema, set.prefix)
  const lines: Partial<Lines> = {}
  const close = () => {
    for (const line of Object.values(lines)) (line as Line).close()
  }
  let lose!: (error: Error) => void
  const lost = new Promise<Error>((resolve) => {
    lose = (error) => {
      // First: a statement that the closing breaks off must not be taken for the cause.
      resolve(error)
      // The others would go on under an epoch that the next session replaces.
      close()
    }
  })
  try {
    const config = connectionConfig(databaseUrl)
    const open = () => Line.open(config, limits, lose)
    lines.lease = await open()
    const { sequence, behind } = await checkDatabase(lines.lease, set, me.served ?? false)
    lines.read = await open()
    lines.write = await open()
    lines.record = me.exactlyOnce ? await open() : lines.write
    const sql = statements(tables, me, sequence)
    const mark = new LowWaterMark(lines.lease, sql, lose)
    return new PostgresSession(lines as Lines, sql, mark, { lost, behind, me })
  } catch (error) {
    close()
    throw refusal(error)
  }
}

/**
 * The set of tables that was asked for. Without a schema it is in that of the URL's `schema` parameter, else in `public`.
 *
 * @throws OutboxError DATABASE_REFUSED for a malformed URL, INVALID_OPTION for a wrong prefix.
 */
export function tableSetOf({ databaseUrl, schema, tablePrefix: prefix = '' }: Place): TableSet {
  const url = parseUrl(databaseUrl, 'DATABASE_URL')
  if (!isPrefix(prefix)) {
    const remedy = `Give ${prefixRange}, such as p_.`
    throw new OutboxError('INVALID_OPTION', 'tablePrefix is no prefix of a table.', { field: 'tablePrefix', remedy })
  }
  return { schema: schema ?? url.searchParams.get('schema') ?? 'public', prefix }
}

/** Parses a database URL; `name` is the option or variable that it came from. Throws DATABASE_REFUSED, without the URL: it holds a password. */
export function parseUrl(text: string, name: string): URL {
  try {
    const url = new URL(text)
    // Decodes the password and reads the certificates: what fails here would fail at every connection, and be waited out forever.
    new pg.Client(connectionConfig(text))
    if (url.protocol === 'postgresql:' || url.protocol === 'postgres:') {
      refuseUnknownTls(url, name)
      return url
    }
  } catch (error) {
    if (isOutboxError(error)) throw error
    // Node's own error for a URL quotes it, with its password.
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'EACCES') throw unreadableFile(name, codeOf(error)!)
  }
  throw new OutboxError('DATABASE_REFUSED', `${name} is not a PostgreSQL URL.`, {
    field: name,
    remedy: 'Write it as postgresql://user:password@host:5432/database.',
  })
}

function unreadableFile(name: string, code: string): OutboxError {
  return new OutboxError('DATABASE_REFUSED', `${name} names a certificate or key that cannot be read (${code}).`, {
    field: name,
    remedy: 'Correct sslrootcert, sslcert and sslkey, or the rights on these files.',
  })
}
