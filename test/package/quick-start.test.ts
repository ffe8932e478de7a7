import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { type KafkaServer, startKafka } from '../support/kafka.ts'
import { freePort } from '../support/ports.ts'
import { codeBlocks, pageOf, readme, section } from '../support/readme.ts'
import { pack, shellIn, userEnvironment } from '../support/tarball.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const home = mkdtempSync(join(tmpdir(), 'outbox-quick-start-'))
const project = join(home, 'shop')
/** Where the relay of the page listens. */
let port: number
const quickStart = section('## Quick start')
const consumerPages = ['docs/consumers.md', 'docs/guides/consumer-monitoring.md', 'docs/guides/projections.md']
const consumerPrograms = consumerPages.flatMap((path) => codeBlocks(pageOf(path)))

const started: ChildProcess[] = []
/** Kills the relay of the page, so that it can finish nothing. */
let killRelay: () => Promise<void>
let database: TestDatabase
let kafka: KafkaServer
let tarball: string

beforeAll(async () => {
  // A broker of its own: the topic has the name that the page gives it.
  const started = Promise.all([createDatabase('', { migrate: false }), startKafka()])
  tarball = await pack(home)
  ;[database, kafka] = await started
  port = await freePort()
  mkdirSync(project)
}, 120_000)

/** Ends all that was started, with its children. */
function endAll(): void {
  for (const { pid } of started.splice(0)) {
    try {
      process.kill(-pid!, 'SIGKILL')
    } catch {
      // All of the group have ended.
    }
  }
}

afterAll(async () => {
  endAll()
  await kafka?.remove()
  await database?.drop()
  rmSync(home, { recursive: true, force: true })
})

test('the tarball holds what is needed to run, and neither sources nor tests', async () => {
  const { stdout } = await run('tar', ['-tzf', tarball])
  const names = stdout.trim().split('\n').sort()
  const places = new Set(names.map((name) => name.replace(/^package\//, '').replace(/\/.*/, '/')))
  expect([...places].sort()).toEqual([
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'LICENSE',
    'README.md',
    'ROADMAP.md',
    'SECURITY.md',
    'dist/',
    'docker-compose.yml',
    'docs/',
    'llms.txt',
    'ops/',
    'package.json',
    'prisma/',
  ])
  expect(names.filter((name) => /\.ts$/.test(name) && !name.endsWith('.d.ts'))).toEqual([])
  for (const name of ['prisma/outbox.prisma', 'ops/grants.sql', 'dist/cli/main.js', 'dist/embed.d.ts', 'dist/testing/index.js']) {
    expect(names).toContain(`package/${name}`)
  }
})

/**
 * What stands in for two things that a machine without Docker and without Prisma's downloads lacks; nothing else is changed, and nothing is
 * added. The servers run already, at other addresses; Prisma's engine is WebAssembly (see tarball.ts), which can either apply a migration
 * or search for drift, not both in one run. The package itself comes from its tarball, since it is not released.
 */
function substituted(text: string): string {
  return text
    .replace(/^docker compose .*$/m, 'true')
    .replaceAll('postgresql://postgres:postgres@127.0.0.1:5432/postgres', database.url)
    .replaceAll('127.0.0.1:9092', kafka.brokers)
    .replaceAll('--listen 9464', `--listen ${port}`)
    .replace(/npx prisma migrate dev$/gm, 'npx prisma migrate deploy')
    .replace('npm install prisma-extension-outbox', `npm install ${tarball}`)
}

test('the quick start of the README, from an empty folder, as printed: a consumer sees the message', async () => {
  const blocks = codeBlocks(quickStart)
  expect(blocks.filter(({ path }) => path).map(({ path }) => path)).toEqual([
    '.env',
    'prisma.config.ts',
    'prisma/schema.prisma',
    'src/db.ts',
    'src/place-order.ts',
    'src/receive.ts',
  ])
  const times: string[] = []
  let last: { output(): string } | undefined
  for (const { language, path, code } of blocks) {
    const text = substituted(code)
    if (path) write(path, text)
    else if (language === 'sh') {
      const began = performance.now()
      if (/ relay /.test(text)) await relayUntilReady(text)
      else if (text.includes('src/receive.ts')) last = start(text.trim())
      else expect(await shell(text)).toContain(/# prints: (.*)$/m.exec(text)?.[1] ?? '')
      times.push(
        `${((performance.now() - began) / 1000).toFixed(1)} s  ${text.trim().split('\n').join('; ').replaceAll(home, '')}`,
      )
    } else {
      // What the last command prints.
      await expect.poll(() => last!.output(), { timeout: 60_000, interval: 100 }).toContain(code)
    }
  }
  console.log(`The quick start, command by command:\n${times.join('\n')}`)
  expect(await database.query('SELECT 1 FROM outbox')).toEqual([])
}, 400_000)

test('the event and the consumer of the guides, as printed: what the handler writes is there', async () => {
  const guides = [...codeBlocks(pageOf('docs/guides/typed-events.md')), ...codeBlocks(pageOf('docs/tutorial/first-consumer.md'))]
  for (const path of ['src/events.ts', 'src/place-event.ts', 'src/confirm.ts']) {
    write(path, guides.find((block) => block.path === path)!.code)
  }
  // The page about consumers goes on in this project; its tables come with these, since drift is not looked for here.
  append('prisma/schema.prisma', consumerPrograms.find(({ language }) => language === 'prisma')!.code)
  await shell('npx prisma migrate dev --name consumers')
  for (const { language, code } of guides) if (language === 'sh' && code.startsWith('npm install')) await shell(substituted(code))
  start('npx tsx src/confirm.ts')
  await shell('npx tsx src/place-event.ts')
  const newest = '(SELECT max(id) FROM "Order")'
  const applied = () =>
    database.query(`SELECT o.total, i.consumer, p.reason FROM "Order" o, inbox i LEFT JOIN inbox_dead_letter p USING (consumer, message_id)
      WHERE o.id = ${newest}`)
  await expect.poll(applied, { timeout: 60_000, interval: 200 }).toEqual([{ total: 1990, consumer: 'confirm', reason: null }])
}, 400_000)

test('the programs of the pages about consumers run as they stand: each has its effect of the event, and what is watched shows it', async () => {
  for (const { path, code } of consumerPrograms) if (path) write(path, code)
  const port = await freePort()
  const program = readFileSync(join(project, 'src/write-letters.ts'), 'utf8')
  const call = `watch(mail, ${port})\n`
  write('src/write-letters.ts', `import { watch } from './watch.js'\n${program.replace('process.once', `${call}process.once`)}`)
  const [order] = await database.query<{ id: string }>('SELECT max(id)::text AS id FROM "Order"')
  for (const name of ['write-letters', 'write-many-letters', 'keep', 'order-view']) start(`npx tsx src/${name}.ts`)
  const effects = async () => ({
    letters: await database.query(
      'SELECT "orderId" FROM "Letter" l JOIN inbox i ON i.message_id = l.key AND i.consumer = \'confirm\'',
    ),
    consumers: (await database.query('SELECT consumer FROM inbox ORDER BY consumer')).map(({ consumer }) => consumer),
    view: await database.query('SELECT id, amount, channel, shipped FROM "OrderView"'),
  })
  await expect.poll(effects, { timeout: 90_000, interval: 200 }).toEqual({
    letters: Array(3).fill({ orderId: order!.id }),
    consumers: ['bulk_mail', 'confirm', 'keep', 'mail'],
    view: [{ id: order!.id, amount: 1990, channel: 'web', shipped: false }],
  })
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  expect(metrics).toContain('inbox_messages_applied_total{consumer="mail",topic="orders"} 1\n')
  expect(await shell('npx tsx src/prune.ts')).toBe('Deleted: 0\n')
}, 240_000)

test('the page that breaks it, as printed: what it kills and stops loses nothing, and the exactly-once mode doubles nothing', async () => {
  const blocks = codeBlocks(pageOf('docs/tutorial/break-it.md'))
  for (const { path, code } of blocks) if (path) write(path, code)
  const relays = blocks.flatMap(({ code }) => (code.includes(' relay --') ? [substituted(code)] : []))
  const [counted, countedAgain] = blocks.flatMap(({ language, code }) => (language === '' ? [code] : []))
  const copies = (output: string) => /(\d+) copies/.exec(output)![1]!
  const placeAndKill = async (least: number) => {
    const placing = shell('npx tsx src/place-many.ts')
    const orders = async () => (await database.query(`SELECT 1 FROM "Order" WHERE customer LIKE 'customer-%'`)).length
    await expect.poll(orders, { timeout: 60_000, interval: 20 }).toBeGreaterThan(least)
    await killRelay()
    await placing
  }
  // The consumers of the other pages would tell at length that Kafka is away.
  endAll()
  await relayUntilReady(relays[0]!)
  await placeAndKill(600)
  await relayUntilReady(relays[0]!)
  const first = await shell('npx tsx src/check.ts')
  expect(first.trim()).toBe(counted!.trim().replace(/\d+ copies/, `${copies(first)} copies`))

  const [stopped, ended] = [blocks.find(({ code }) => code.includes('stop kafka'))!, kafka.stop()]
  await ended
  const [, place, status] = stopped.code.trim().split('\n')
  expect(await shell(place!)).toContain('is placed.')
  await expect.poll(() => shell(`${status} || true`), { timeout: 60_000 }).toMatch(/no broker answers/)
  await kafka.start()
  await expect.poll(() => database.query('SELECT 1 FROM outbox'), { timeout: 60_000, interval: 200 }).toEqual([])

  await killRelay()
  await relayUntilReady(relays[1]!)
  await placeAndKill(2_400)
  await relayUntilReady(relays[1]!)
  const second = await shell('npx tsx src/check.ts')
  expect(second.trim()).toBe(countedAgain!.trim().replace(/\d+ copies/, `${copies(first)} copies`))
}, 400_000)

test('every TypeScript example of every page compiles against the tarball', async () => {
  const version = (name: string) => `${name}@${own.devDependencies[name]}`
  // The compiler, and what it needs to know of packages that an application may have: no step of a reader's.
  await shell(`npm install --save-dev ${['typescript', '@types/node', '@opentelemetry/api'].map(version).join(' ')}`)
  writeCompilerOptions()
  // Blocks that are compiled elsewhere: files of an example with its framework, and the programs of prisma-8.test.ts.
  const elsewhere = ['guides/nestjs.md', 'guides/nextjs.md', 'guides/prisma-8.md']
  const pages = readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter(
    (name) => name.endsWith('.md') && !elsewhere.includes(name),
  )
  const blocks = [readme, ...pages.map((name) => pageOf(`docs/${name}`))].flatMap((page) => codeBlocks(section0(page)))
  const examples = blocks.filter(({ language }) => language === 'ts')
  expect(examples.filter(({ path }) => path === undefined)).toEqual([])
  expect(examples.length).toBeGreaterThanOrEqual(20)
  for (const { path, code } of examples) write(path!, code)
  // The compiler sees the examples, and it is not lenient: without an error there it would say that none was found.
  const wrong = '// @ts-expect-error\nawait prisma.outbox.enqueue({ topic: 1, payload: {} })\n'
  write('src/wrong.ts', `import { prisma } from './db.js'\n${wrong}`)
  expect(await shell('npx tsc --noEmit')).toBe('')
}, 240_000)

/** A page below its first heading of the second level: the first screen of the README is a fragment. */
const section0 = (page: string) => (page === readme ? page.slice(page.indexOf('\n## ')) : page)

function writeCompilerOptions(): void {
  const compilerOptions = {
    target: 'ES2023',
    module: 'NodeNext',
    moduleDetection: 'force',
    strict: true,
    skipLibCheck: false,
    types: ['node'],
    lib: ['ES2023', 'ESNext.Disposable', 'DOM'],
  }
  write('tsconfig.json', JSON.stringify({ compilerOptions, include: ['src', 'prisma.config.ts'] }))
}

/** Runs commands in the project; gives what they print, throws with it where one fails. */
const shell = (text: string): Promise<string> => shellIn(project, text)

/** Starts a program of a page, which runs until it is stopped; its whole group ends with the tests. */
function start(command: string): { output(): string; kill(): Promise<void> } {
  const child = spawn('bash', ['-e', '-c', `exec ${command}`], {
    cwd: project,
    env: userEnvironment(),
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  started.push(child)
  let output = ''
  child.stdout.on('data', (text) => {
    output += text
  })
  const ended = once(child, 'close')
  const kill = async () => {
    process.kill(-child.pid!, 'SIGKILL')
    await ended
  }
  return { output: () => output, kill }
}

/** Starts the relay as the page does, and waits until it says that it is ready, and has published: a reader takes that long. */
async function relayUntilReady(command: string): Promise<void> {
  const relay = start(command.trim())
  killRelay = relay.kill
  const ready = async () => (await fetch(`http://127.0.0.1:${port}/readyz`)).ok
  await expect.poll(() => ready().catch(() => relay.output()), { timeout: 60_000, interval: 200 }).toBe(true)
  await expect.poll(() => database.query('SELECT 1 FROM outbox'), { timeout: 60_000, interval: 200 }).toEqual([])
}

function write(path: string, text: string): void {
  mkdirSync(dirname(join(project, path)), { recursive: true })
  writeFileSync(join(project, path), text)
}

function append(path: string, text: string): void {
  write(path, `${readFileSync(join(project, path), 'utf8')}\n${text}`)
}
