import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { codeBlocks, section } from '../support/readme.ts'
import { pack, shellIn, userEnvironment } from '../support/tarball.ts'

// The small examples, as a user runs them: copied, installed from the tarball that their package.json names, on servers of their own addresses.
// The second one uses the installation of the first.

const root = fileURLToPath(new URL('../../', import.meta.url))
const home = mkdtempSync(join(tmpdir(), 'outbox-examples-'))
const [quickstart, consumer] = ['quickstart', 'consumer'].map((name) => join(home, 'examples', name)) as [string, string]
/** Topics have names of this run: others may use the same brokers. */
const run = randomBytes(4).toString('hex')

const databases: TestDatabase[] = []
const started: ChildProcess[] = []
let tarball: string

beforeAll(async () => {
  tarball = await pack(home)
  for (const folder of [quickstart, consumer]) {
    const database = await createDatabase('', { migrate: false })
    databases.push(database)
    cpSync(join(root, 'examples', basename(folder)), folder, { recursive: true })
    writeFileSync(join(folder, '.env'), `DATABASE_URL="${database.url}"\nKAFKA_BROKERS="${inject('brokers')}"\n`)
    for (const name of readdirSync(join(folder, 'src'))) {
      const path = join(folder, 'src', name)
      writeFileSync(path, readFileSync(path, 'utf8').replace(/(topic: ')(\w+)'/g, `$1$2_${run}'`))
    }
  }
  await shellIn(quickstart, 'npm install --no-package-lock')
  symlinkSync(join(quickstart, 'node_modules'), join(consumer, 'node_modules'))
}, 240_000)

afterAll(async () => {
  for (const { pid } of started) process.kill(-pid!, 'SIGTERM')
  for (const database of databases) await database.drop()
  rmSync(home, { recursive: true, force: true })
})

/** Starts a script of an example; gives what it has printed so far. */
function start(folder: string, script: string): () => string {
  const child = spawn('npm', ['run', '--silent', script], {
    cwd: folder,
    env: userEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  started.push(child)
  let output = ''
  child.stdout.on('data', (text) => {
    output += text
  })
  return () => output
}

const drain = 'npx prisma-extension-outbox relay --drain --create-topics'

test('quickstart has the files of the quick start of the README, word for word', () => {
  const blocks = codeBlocks(section('## Quick start')).filter(({ path }) => path !== undefined)
  expect(blocks.length).toBeGreaterThan(5)
  for (const { path, code } of blocks) {
    expect([path, readFileSync(join(root, 'examples/quickstart', path!), 'utf8')]).toEqual([path, code.replace(/^.*\n/, '')])
  }
})

// Both run at once, so each has the `expect` of its own context: the global one does not know which of them polls.
test.concurrent('quickstart: an order is placed, its message is relayed and received', async ({ expect }) => {
  const before = await shellIn(quickstart, 'npm run --silent setup && npm run --silent place')
  expect(before).toContain('Order 1 is placed.')
  await shellIn(quickstart, drain)
  const output = start(quickstart, 'receive')
  await expect.poll(output, { timeout: 60_000, interval: 100 }).toBe('1: {"id":1,"customer":"ada@example.com","total":1990}\n')
}, 240_000)

test.concurrent('consumer: the letter, the row of the inbox and the next message are one transaction', async ({ expect }) => {
  const { dependencies } = JSON.parse(readFileSync(join(consumer, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  for (const [name, wanted] of Object.entries(dependencies).filter(([, version]) => !version.startsWith('file:'))) {
    const { version } = JSON.parse(readFileSync(join(consumer, 'node_modules', name, 'package.json'), 'utf8'))
    expect([name, version]).toEqual([name, expect.stringMatching(`^${wanted}(\\.|$)`)])
  }
  await shellIn(consumer, `npm run --silent setup && npm run --silent place && ${drain}`)
  const output = start(consumer, 'consume')
  await expect.poll(output, { timeout: 60_000, interval: 100 }).toBe('1 applied, 0 copies skipped\n')
  const rows = await databases[1]!.query(
    `SELECT l."orderId", l."to", i.consumer, l.xmin::text = i.xmin::text AND l.xmin::text = o.xmin::text AS together
     FROM "Letter" l, inbox i, outbox o`,
  )
  expect(rows).toEqual([{ orderId: '1', to: 'ada@example.com', consumer: 'letters', together: true }])
}, 240_000)

test('each names the tarball that npm pack makes, and holds nothing that is made', () => {
  for (const folder of ['quickstart', 'consumer', 'nestjs', 'nextjs'].map((name) => join(root, 'examples', name))) {
    const { dependencies } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    expect(dependencies['prisma-extension-outbox']).toBe(`file:../../${basename(tarball)}`)
    const sources = readdirSync(folder).filter((name) => name !== 'node_modules' && name !== 'generated')
    const bytes = readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => sources.includes(name.split('/')[0]!))
      .map((name) => statSync(join(folder, name)))
      .reduce((sum, stat) => sum + (stat.isFile() ? stat.size : 0), 0)
    expect(bytes).toBeLessThan(20_000)
  }
})
