import { randomBytes } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { placeOrders, startApplication } from '../support/application.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { freePort } from '../support/ports.ts'
import { codeBlocks, pageOf } from '../support/readme.ts'
import { pack, shellIn, userEnvironment } from '../support/tarball.ts'
import { readTopic } from '../support/topics.ts'

// `examples/nestjs` as a user has it: copied, installed from the tarball, compiled, run. With the Nest of its package.json under load, with
// other versions of Nest for one order each.

const root = fileURLToPath(new URL('../../', import.meta.url))
const home = mkdtempSync(join(tmpdir(), 'outbox-nestjs-'))
const project = join(home, 'examples', 'nestjs')
/** Topics and groups have names of this run: others may use the same brokers. */
const topic = `orders_${randomBytes(4).toString('hex')}`

let database: TestDatabase
let tarball: string

beforeAll(async () => {
  ;[database, tarball] = await Promise.all([createDatabase('', { migrate: false }), pack(home)])
  cpSync(join(root, 'examples/nestjs'), project, { recursive: true })
  writeFileSync(join(project, '.env'), `DATABASE_URL="${database.url}"\nKAFKA_BROKERS="${inject('brokers')}"\n`)
  replace('src/events.ts', "'orders'", `'${topic}'`)
  replace('src/app.module.ts', "'confirmations'", `'confirmations-${topic}'`)
  await shellIn(project, 'npm install --no-package-lock')
  await shellIn(project, 'npm run --silent setup && npm run --silent build && npm run --silent topics')
}, 240_000)

afterAll(async () => {
  await database?.drop()
  rmSync(home, { recursive: true, force: true })
})

function replace(path: string, from: string, to: string): void {
  const text = readFileSync(join(project, path), 'utf8')
  if (!text.includes(from)) throw new Error(`${path} does not have ${from}`)
  writeFileSync(join(project, path), text.replace(from, to))
}

test('the blocks of the guide are files of the example, word for word', () => {
  const blocks = codeBlocks(pageOf('docs/guides/nestjs.md')).filter(({ language }) => language === 'ts')
  expect(blocks.length).toBeGreaterThan(5)
  for (const { path, code } of blocks) {
    expect([path, `// ${path}\n${readFileSync(join(root, 'examples/nestjs', path!), 'utf8')}`]).toEqual([path, code])
  }
})

const start = async (folder: string) => startApplication(folder, ['dist/main.js'], { port: await freePort(), path: '/health' })

/** Times that each order stands in the topic and has a confirmation: 1 and 1. */
async function effects(): Promise<{ orders: number[]; published: number[]; confirmed: number[] }> {
  const ids = async (sql: string) => (await database.query<{ id: number }>(sql)).map(({ id }) => id)
  const records = await readTopic(topic)
  return {
    orders: await ids('SELECT id FROM "Order" ORDER BY id'),
    published: records.map(({ value }) => JSON.parse(String(value)).orderId as number).sort((a, b) => a - b),
    confirmed: await ids('SELECT "orderId" AS id FROM "Confirmation" ORDER BY 1'),
  }
}

test('SIGTERM under load, twice: no order is lost, and none is published or confirmed twice', async () => {
  const known: number[] = []
  for (const _ of ['first', 'second']) {
    await using application = await start(project)
    const load = placeOrders(`${application.url}/orders`)
    await expect.poll(() => load.confirmed.length, { timeout: 60_000, interval: 20 }).toBeGreaterThan(150)
    expect(await application.end('SIGTERM')).toEqual({ code: null, signal: 'SIGTERM' })
    expect([await load.over, application.output()]).toEqual([[], expect.not.stringMatching(/ExceptionsHandler|OutboxError/)])
    known.push(...load.confirmed)
  }
  await using application = await start(project)
  await expect.poll(() => database.query('SELECT 1 FROM outbox'), { timeout: 30_000, interval: 100 }).toEqual([])
  const numbers = async () =>
    (await database.query('SELECT (SELECT count(*) FROM "Order") - count(*) AS n FROM "Confirmation"'))[0]
  await expect.poll(numbers, { timeout: 30_000, interval: 100 }).toEqual({ n: '0' })
  const health = (await (await fetch(`${application.url}/health`)).json()) as { status: string; details: object }
  expect([health.status, health.details]).toEqual(['ok', { outbox: { status: 'up', relay: expect.any(String) } }])
  await application.end('SIGTERM')
  const { orders, published, confirmed } = await effects()
  expect(known.length).toBeGreaterThan(300)
  expect(known.filter((id) => !orders.includes(id))).toEqual([])
  expect([published, confirmed]).toEqual([orders, orders])
}, 240_000)

test.each(['10', '12'])(
  'Nest %s: the example compiles and runs, and so does an application of ES modules',
  async (version) => {
    const folder = join(project, `nest-${version}`)
    mkdirSync(join(folder, 'node_modules/prisma-extension-outbox'), { recursive: true })
    writeFileSync(join(folder, 'package.json'), '{ "name": "other", "private": true }\n')
    const nest = ['common', 'core', 'platform-express', 'terminus'].map((name) => `@nestjs/${name}@${version}`).join(' ')
    await shellIn(folder, `npm install --no-save --legacy-peer-deps --ignore-scripts ${nest} rxjs@7 reflect-metadata@0.2`)
    await shellIn(
      folder,
      `mkdir -p node_modules/prisma-extension-outbox && tar -xzf ${tarball} --strip-components=1 -C node_modules/prisma-extension-outbox`,
    )
    for (const name of ['src', 'tsconfig.json', '.env']) cpSync(join(project, name), join(folder, name), { recursive: true })
    cpSync(join(root, 'test/package/nestjs/app.mjs'), join(folder, 'app.mjs'))
    expect(await shellIn(folder, '../node_modules/.bin/tsc')).toBe('')
    {
      await using application = await start(folder)
      const body = JSON.stringify({ customer: `nest-${version}`, total: 1 })
      const headers = { 'content-type': 'application/json' }
      const { id } = (await (await fetch(`${application.url}/orders`, { method: 'POST', headers, body })).json()) as {
        id: number
      }
      const confirmed = () => database.query('SELECT "to" FROM "Confirmation" WHERE "orderId" = $1', [id])
      await expect.poll(confirmed, { timeout: 30_000, interval: 50 }).toEqual([{ to: `nest-${version}` }])
      expect(await application.end('SIGTERM')).toEqual({ code: null, signal: 'SIGTERM' })
    }
    const env = {
      ...userEnvironment(),
      DATABASE_URL: database.url,
      KAFKA_BROKERS: inject('brokers'),
      CONSUMER: `esm-${version}-${topic}`,
    }
    const printed = await shellIn(folder, 'node app.mjs', env)
    expect(JSON.parse(printed)).toEqual({ type: 'order.placed', same: true, status: 'up' })
  },
  240_000,
)
