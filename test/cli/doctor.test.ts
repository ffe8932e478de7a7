import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import type { Verdict } from '../../src/doctor/verdict.ts'
import { declared } from '../docs/doc-comments.ts'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { freePort } from '../support/ports.ts'
import { startRelayProcess } from '../support/relay-process.ts'

const database = useDatabase('all')
let env: Record<string, string>
beforeAll(async () => {
  env = { DATABASE_URL: database.directUrl, KAFKA_BROKERS: inject('brokers'), OUTBOX_LEASE_MS: '3000' }
})
afterAll(async () => {
  rmSync(home, { recursive: true, force: true })
})

// Below the repository, where the driver adapter is found.
const root = fileURLToPath(new URL('../../', import.meta.url))
mkdirSync(join(root, '.cache'), { recursive: true })
const home = mkdtempSync(join(root, '.cache', 'doctor-'))

/** The module of an application whose client has this hook for raw statements. */
function clientWith(hook: string): string {
  const module = join(home, 'db.ts')
  writeFileSync(
    module,
    `import { PrismaPg } from '@prisma/adapter-pg'
import { outbox } from ${JSON.stringify(join(root, 'src/index.ts'))}
import { PrismaClient } from ${JSON.stringify(join(root, 'test/enqueue/generated/client/client.ts'))}
const base: any = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL! }) })
export const prisma = base.$extends({ query: { $executeRaw: ({ args, query }) => ${hook} } }).$extends(outbox())
`,
  )
  return module
}

test('with a relay that works nothing is wrong, and the exit code is 0', async () => {
  const relay = startRelayProcess(env)
  await relay.until((line) => line.event === 'leases_taken')
  const { code, stdout, stderr } = await cli(['doctor', '--json', '--exactly-once', '--client', clientWith('query(args)')], env)
  const verdicts = JSON.parse(stdout) as Verdict[]
  expect(verdicts.filter(({ level }) => level !== 'ok').map(({ check }) => check)).toEqual([])
  expect([code, stderr]).toEqual([0, ''])
  // Nothing waits here and no relay is in trouble, so no topic or relay has a check of its own; only a project of Prisma 8 has a contract space.
  const fixed = declared('doctor/checks.ts', 'Checks').filter(({ name }) => !name.includes('$') && name !== 'contract space')
  expect(verdicts.map(({ check }) => check)).toEqual(fixed.map(({ name }) => name))
  await relay.end('SIGTERM')
})

test.each(['5 s', '-1', '100'])('a request timeout of %s is refused as it is by the relay', async (timeout) => {
  const ended = await cli(['doctor'], { ...env, OUTBOX_REQUEST_TIMEOUT_MS: timeout })
  expect(ended.code).toBe(2)
  expect(ended.stderr).toContain('OUTBOX_REQUEST_TIMEOUT_MS must be')
})

test('a warning is told with reason and fix, and leaves the exit code 0; a failure makes it 1', async () => {
  const warned = await cli(['doctor'], env)
  expect(warned.stdout).toMatch(/^! relays: No relay is alive\.\n {4}Why: .+\n {4}Fix: .+relay$/m)
  expect(warned.stdout).toMatch(/^\? rollback: No client is given\.\n {4}Why: .+\n {4}Fix: .+--client src\/db\.ts$/m)
  expect(warned.stdout).toMatch(/^\d+ ok, 1 warning, 0 failures, 1 not to be seen from here\.$/m)
  expect(warned.code).toBe(0)
  await database.query('ALTER TABLE outbox_dead_letter SET UNLOGGED')
  const failed = await cli(['doctor'], env)
  expect(failed.stdout).toMatch(
    /^✗ logged: UNLOGGED: outbox_dead_letter\.\n {4}Why: .+\n {4}Fix: ALTER TABLE public.outbox_dead_letter SET LOGGED;$/m,
  )
  expect(failed.code).toBe(1)
})

test('a client whose extension takes the message out of its transaction is a failure, told with reason and fix', async () => {
  await database.query('ALTER TABLE outbox_dead_letter SET LOGGED')
  const { code, stdout } = await cli(['doctor', '--client', clientWith('base.$executeRaw(args)')], env)
  const finding = String.raw`prisma of \S+db\.ts: enqueue is refused in every transaction, since its statements do not reach it\.`
  expect(stdout).toMatch(
    new RegExp(String.raw`^✗ rollback: ${finding}\n {4}Why: .+\n {4}Fix: .+query\(args\) and nothing else.+$`, 'm'),
  )
  expect(stdout).toMatch(/, 1 failure, /)
  expect(code).toBe(1)
})

test('a database that does not answer is an error of the command', async () => {
  const url = `postgresql://u:p@127.0.0.1:${await freePort()}/d`
  expect(await cli(['doctor'], { ...env, DATABASE_URL: url })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('ECONNREFUSED'),
  })
})
