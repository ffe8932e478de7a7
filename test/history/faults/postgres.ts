import { type Fault, type Ground, inSession } from '../fault.ts'

/** Kills backends of this database by the name that their client gave. */
const terminate = (ground: Ground, application: string, share: number) =>
  ground.postgres.admin.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE $2 AND random() < $3`,
    [ground.postgres.database, application, share],
  )

/** Faults of PostgreSQL. */
export const postgresFaults: readonly Fault[] = [
  {
    name: 'pg-backends-terminated',
    what: 'a third of the connections of relays and writers is ended by pg_terminate_backend',
    lastsMs: [0, 0],
    async begin(ground) {
      await terminate(ground, 'relay-%', 0.3)
      await terminate(ground, 'proof-writer', 0.3)
      return async () => {}
    },
  },
  {
    name: 'pg-restart',
    what: 'PostgreSQL is stopped and started (pg_ctl restart -m fast)',
    lastsMs: [0, 0],
    async begin({ postgres }) {
      await postgres.restart('clean')
      return async () => {}
    },
  },
  {
    name: 'pg-immediate-stop',
    what: 'PostgreSQL crashes (pg_ctl stop -m immediate) and recovers from its write-ahead log',
    lastsMs: [0, 0],
    async begin({ postgres }) {
      await postgres.restart('immediate')
      return async () => {}
    },
  },
  {
    name: 'pg-row-locks',
    what: 'an admin session holds SELECT … FOR SHARE on half of outbox_lease for longer than a lease',
    lastsMs: [3_500, 8_000],
    begin: (ground) => inSession(ground, (client) => client.query('SELECT 1 FROM outbox_lease WHERE bucket % 2 = 0 FOR SHARE')),
  },
  {
    name: 'pg-long-reader',
    what: 'a REPEATABLE READ transaction holds its snapshot, so that no dead row can be removed',
    lastsMs: [10_000, 40_000],
    begin: (ground) =>
      inSession(ground, (client) => client.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM outbox')),
  },
  {
    name: 'pg-reset-after-commit',
    what: 'connections of writers are reset right after their COMMIT was sent: the outcome is unknown to them',
    lastsMs: [300, 2_000],
    async begin({ postgres }) {
      const end = postgres.proxy.impose({ kind: 'reset-after', text: 'COMMIT' })
      return async () => end()
    },
  },
]
