import { randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { type Application, placeOrders, startApplication } from '../support/application.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { freePort } from '../support/ports.ts'
import { codeBlocks, pageOf } from '../support/readme.ts'
import { pack, shellIn, userEnvironment } from '../support/tarball.ts'
import { createTopicNamed, readTopic } from '../support/topics.ts'

// `examples/nextjs` as a user has it: copied, installed from the tarball, built without any variable of its environment, run.

const root = fileURLToPath(new URL('../../', import.meta.url))
const home = mkdtempSync(join(tmpdir(), 'outbox-nextjs-'))
const project = join(home, 'examples', 'nextjs')
/** Others may use the same brokers. */
const topic = `order_placed_${randomBytes(4).toString('hex')}`
const secret = 'only-for-this-test'

let database: TestDatabase
const environment = () => ({
  DATABASE_URL: database.url,
  KAFKA_BROKERS: inject('brokers'),
  CRON_SECRET: secret,
  NEXT_TELEMETRY_DISABLED: '1',
})

beforeAll(async () => {
  ;[database] = await Promise.all([createDatabase('', { migrate: false }), pack(home), createTopicNamed(topic, 3)])
  cpSync(join(root, 'examples/nextjs'), project, { recursive: true })
  rmSync(join(project, '.env'))
  const path = join(project, 'src/place-order.ts')
  writeFileSync(path, readFileSync(path, 'utf8').replace("'order_placed'", `'${topic}'`))
  await shellIn(project, 'npm install --no-package-lock')
  await shellIn(project, 'npm run --silent setup', { ...userEnvironment(), ...environment() })
  await shellIn(project, 'npm run --silent build', { ...userEnvironment(), NEXT_TELEMETRY_DISABLED: '1' })
}, 300_000)

afterAll(async () => {
  await database?.drop()
  rmSync(home, { recursive: true, force: true })
})

test('the blocks of the guide are files of the example, word for word', () => {
  const blocks = codeBlocks(pageOf('docs/guides/nextjs.md')).filter(({ language }) => language === 'ts')
  expect(blocks.length).toBeGreaterThan(3)
  for (const { path, code } of blocks) {
    expect([path, `// ${path}\n${readFileSync(join(root, 'examples/nextjs', path!), 'utf8')}`]).toEqual([path, code])
  }
})

describe('what Next.js has built', () => {
  /** Texts that only a Kafka client and only a relay have, and those of the enqueue. */
  const marks = { kafka: 'KafkaJS', relay: 'FOR UPDATE SKIP LOCKED', enqueue: 'enqueue was called outside of a transaction' }

  /** Marks of the files that an entry loads, as Next.js traces them. */
  function marksOf(entry: string): string[] {
    const path = join(project, '.next/server/app', entry)
    const { files } = JSON.parse(readFileSync(`${path}.nft.json`, 'utf8')) as { files: string[] }
    const loaded = [path, ...files.map((file) => join(dirname(path), file))].filter((file) => file.endsWith('.js'))
    const texts = loaded.map((file) => readFileSync(file, 'utf8'))
    return Object.entries(marks).flatMap(([name, mark]) => (texts.some((text) => text.includes(mark)) ? [name] : []))
  }

  test('a route and an action that enqueue load neither relay nor Kafka client; the route that drains does', () => {
    expect(marksOf('api/orders/route.js')).toEqual(['enqueue'])
    expect(marksOf('page.js')).toEqual(['enqueue'])
    expect(marksOf('api/outbox/drain/route.js')).toEqual(['kafka', 'relay'])
  })

  test('browsers get nothing of the package', () => {
    const files = readdirSync(join(project, '.next/static'), { recursive: true, encoding: 'utf8' }).filter((name) =>
      /\.js$/.test(name),
    )
    expect(files.length).toBeGreaterThan(3)
    expect(files.filter((name) => /outbox/i.test(readFileSync(join(project, '.next/static', name), 'utf8')))).toEqual([])
  })
})

const start = async () =>
  startApplication(project, ['node_modules/next/dist/bin/next', 'start', '--hostname', '127.0.0.1'], {
    ...environment(),
    port: await freePort(),
    path: '/',
  })

/** Calls the route as a cron does; undefined when the application is gone. */
async function drain({ url }: Application): Promise<{ published: number; waiting: number; endedBy: string } | undefined> {
  const headers = { authorization: `Bearer ${secret}`, connection: 'close' }
  const answer = await fetch(`${url}/api/outbox/drain`, { headers }).catch(() => undefined)
  if (answer && answer.status !== 200) throw new Error(`${answer.status} ${await answer.text()}`)
  return answer?.json() as ReturnType<typeof drain>
}

/** Submits the form of the page, as a browser without JavaScript does. */
async function submit({ url }: Application, customer: string): Promise<number> {
  const [, action] = /name="(\$ACTION_ID_\w+)"/.exec(await (await fetch(url)).text())!
  const form = new FormData()
  for (const [name, value] of [
    [action!, ''],
    ['customer', customer],
    ['total', '5'],
  ] as const)
    form.set(name, value)
  return (await fetch(url, { method: 'POST', body: form })).status
}

test('SIGTERM under load, while drains run: no order is lost and none is published twice', async () => {
  const known: number[] = []
  for (const name of ['first', 'second']) {
    await using application = await start()
    expect(await submit(application, name)).toBe(200)
    const load = placeOrders(`${application.url}/api/orders`)
    let published = 0
    const cron = (async () => {
      for (let answer = await drain(application); answer; answer = await drain(application)) published += answer.published
    })()
    await expect.poll(() => Math.min(load.confirmed.length, published), { timeout: 90_000, interval: 20 }).toBeGreaterThan(100)
    expect(await application.end('SIGTERM')).toEqual({ code: 143, signal: null })
    expect(await load.over).toEqual([])
    await cron
    known.push(...load.confirmed)
  }
  await using application = await start()
  expect((await fetch(`${application.url}/api/outbox/drain`)).status).toBe(401)
  await expect.poll(() => drain(application), { timeout: 30_000 }).toMatchObject({ waiting: 0, endedBy: 'empty' })
  const orders = await database.query<{ id: number; customer: string }>('SELECT id, customer FROM "Order" ORDER BY id')
  expect(known.filter((id) => !orders.some((order) => order.id === id))).toEqual([])
  expect(orders.filter(({ customer }) => customer === 'first' || customer === 'second')).toHaveLength(2)
  const records = await readTopic(topic)
  const published = records.map(({ value }) => JSON.parse(String(value)).id as number).sort((a, b) => a - b)
  expect(published).toEqual(orders.map(({ id }) => id))
}, 240_000)
