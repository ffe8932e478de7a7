import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, portOpen } from './ports.ts'

/** Whether PgBouncer is installed (`apt-get install pgbouncer`). */
export const hasPgbouncer: boolean = !spawnSync('pgbouncer', ['--version']).error

/** A PgBouncer in transaction mode before a database. */
export interface Pgbouncer {
  /** The database's URL through the pooler. */
  url: string
  stop(): Promise<void>
}

/** Starts PgBouncer in transaction mode with so few server connections that every statement may meet another one. */
export async function startPgbouncer(databaseUrl: string, serverConnections: number): Promise<Pgbouncer> {
  const target = new URL(databaseUrl)
  const port = await freePort()
  const dir = await mkdtemp(join(tmpdir(), 'outbox-pgbouncer-'))
  await chmod(dir, 0o755)
  const file = join(dir, 'pgbouncer.ini')
  const login = `user=${target.username} password=${target.password}`
  await writeFile(
    file,
    `[databases]
* = host=${target.hostname} port=${target.port} ${login}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${serverConnections}
max_client_conn = 100
`,
  )
  // PgBouncer refuses to run as root.
  const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}
  const child: ChildProcess = spawn('pgbouncer', [file], { stdio: 'ignore', ...nobody })
  await portOpen(port, 10_000)
  const url = new URL(databaseUrl)
  url.port = String(port)
  return {
    url: url.href,
    async stop() {
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
      await rm(dir, { recursive: true, force: true })
    },
  }
}
