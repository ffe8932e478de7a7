import { counted, span } from '../ops/format.ts'
import type { DatabaseFacts } from './questions/examine-database.ts'
import { failure, ok, unseen, type Verdict, warning } from './verdict.ts'

/** The oldest major version of PostgreSQL that relays are tested with. */
export const oldestPostgres = 15

/** Difference of clocks, in ms, from which times of messages mislead. */
const clockMs = 2_000

/** Age of a transaction, in ms, from which dead rows of a busy outbox cost reads. */
const oldMs = 300_000

/** Judges server and session. */
export function judgeDatabase(facts: Pick<DatabaseFacts, 'surroundings' | 'encryption' | 'holders'>): Verdict[] {
  const { surroundings: s, encryption, holders } = facts
  return [
    s.replica || s.readOnly
      ? failure(
          'primary',
          'The database is read-only.',
          'A replica takes no leases and shows commits in another order: no relay starts there.',
          'Point DATABASE_URL at the primary.',
        )
      : ok('primary', 'The database is the primary and takes writes.'),
    s.version < oldestPostgres * 10_000
      ? failure(
          'version',
          `PostgreSQL ${Math.floor(s.version / 10_000)}.`,
          `Tested from ${oldestPostgres} on.`,
          `Upgrade to PostgreSQL ${oldestPostgres} or newer.`,
        )
      : ok('version', `PostgreSQL ${Math.floor(s.version / 10_000)}.`),
    s.synchronousCommit === 'off' || s.fsync === 'off'
      ? warning(
          'durability',
          `${s.fsync === 'off' ? 'fsync' : 'synchronous_commit'} is off for this role.`,
          'A crash of the server may take back a commit whose message Kafka already has.',
          s.fsync === 'off'
            ? 'ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf();'
            : 'ALTER ROLE … SET synchronous_commit = on; for the role of the application; see also database and postgresql.conf.',
        )
      : ok('durability', `synchronous_commit is ${s.synchronousCommit}, fsync on.`),
    ok('isolation', `Default isolation ${s.isolation}, time zone ${s.timeZone}; the relay sets its own.`),
    s.pooled
      ? warning(
          'pooler',
          'A pooler such as PgBouncer stands in between.',
          'In transaction mode it swallows notifications: relays then poll, up to 50 ms late.',
          'Set OUTBOX_LISTEN_URL to the database itself, or to "off".',
        )
      : ok('pooler', 'The connection leads to the server itself.'),
    Math.abs(s.clockMs) - s.uncertainMs > clockMs
      ? warning(
          'clock',
          `The clock of the database is ${span(Math.abs(s.clockMs))} ${s.clockMs > 0 ? 'ahead of' : 'behind'} this machine's.`,
          'Leases go by the database alone, but ages, latencies and the header created-at mislead.',
          'Keep both machines on NTP.',
        )
      : ok('clock', `The clocks of database and this machine differ by ${span(Math.abs(s.clockMs))}.`),
    judgeEncryption(encryption, s.pooled),
    judgeHorizon(holders),
  ]
}

/** The way to a pooler is this machine's to judge, the way from there to the server is the server's. */
function judgeEncryption(
  { local, tls, verified, serverTls, serverLocal }: DatabaseFacts['encryption'],
  pooled: boolean,
): Verdict {
  const check = 'database encryption'
  const fix = 'Add sslmode=verify-full to DATABASE_URL, and sslrootcert=… when your own authority signed the certificate.'
  if (!tls && !local) {
    return warning(
      check,
      'The connection has no TLS.',
      'Everybody on the way can read and change rows, and a server in between gets the password.',
      fix,
    )
  }
  if (tls && !verified && !local) {
    return warning(
      check,
      'The connection has TLS, and the certificate is not checked.',
      'A server in between can read and change everything.',
      fix,
    )
  }
  if (pooled && serverTls === null && !serverLocal) {
    const why = 'When they are on different machines, everybody between them can read and change rows.'
    return warning(
      check,
      'Between the pooler and the database there is no TLS.',
      why,
      'Set server_tls_sslmode = verify-full in PgBouncer.',
    )
  }
  return ok(
    check,
    tls && verified ? `${serverTls ?? 'TLS'}, with a certificate that is checked.` : 'The connection stays on this machine.',
  )
}

function judgeHorizon(holders: DatabaseFacts['holders']): Verdict {
  const hidden = holders.filter(({ state }) => state === 'hidden').length
  const worst = holders.find(({ kind, ageMs, state }) => (ageMs ?? 0) > oldMs || (kind === 'slot' && state === 'inactive'))
  if (worst) {
    const { kind, name, state, ageMs, xids } = worst
    const what =
      kind === 'session'
        ? `Process ${name} (${state})`
        : kind === 'slot'
          ? `Replication slot ${name} (${state})`
          : `Prepared transaction ${name}`
    const since = ageMs === null ? `${xids} transactions back` : `for ${span(ageMs)}`
    const end = {
      session: `SELECT pg_terminate_backend(${name});`,
      slot: `SELECT pg_drop_replication_slot('${name}');`,
      prepared: `ROLLBACK PREPARED '${name}';`,
    }
    return warning(
      'horizon',
      `${what} holds dead rows back ${since}.`,
      'VACUUM cannot remove what relays have deleted, and every read passes over it.',
      `If nobody needs it: ${end[kind]}`,
    )
  }
  if (hidden === 0) return ok('horizon', 'No old transaction holds dead rows back.')
  const fix = 'GRANT pg_read_all_stats to the role.'
  return unseen('horizon', `${counted(hidden, 'session')} of other roles cannot be seen.`, 'One may hold dead rows back.', fix)
}
