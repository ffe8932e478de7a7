import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { type KafkaServer, kafkaJars, startKafka } from '../support/kafka.ts'
import { kafkaJava } from '../support/kafka-java.ts'
import { freePort } from '../support/ports.ts'
import { codeBlocks, readme, section } from '../support/readme.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
const home = mkdtempSync(join(tmpdir(), 'outbox-quick-start-'))
const project = join(home, 'shop')
const quickStart = section('## Quick start')
const consumersPage = codeBlocks(readFileSync(join(root, 'docs/consumers.md'), 'utf8'))

const started: ChildProcess[] = []
let database: TestDatabase
let kafka: KafkaServer
let tarball: string

beforeAll(async () => {
  // A broker of its own: the topic has the name that the README gives it.
  const started = Promise.all([createDatabase('', { migrate: false }), startKafka(), writeKafkaTools()])
  tarball = await pack()
  ;[database, kafka] = await started
}, 120_000)

afterAll(async () => {
  for (const { pid } of started) {
    try {
      process.kill(-pid!, 'SIGKILL')
    } catch {
      // All of the group have ended.
    }
  }
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
    'GUARANTEES.md',
    'LICENSE',
    'README.md',
    'dist/',
    'docs/',
    'ops/',
    'package.json',
    'prisma/',
  ])
  expect(names.filter((name) => /\.ts$/.test(name) && !name.endsWith('.d.ts'))).toEqual([])
  for (const name of ['prisma/outbox.prisma', 'ops/grants.sql', 'dist/cli/main.js', 'dist/embed.d.ts', 'dist/testing/index.js']) {
    expect(names).toContain(`package/${name}`)
  }
})

test('the quick start of the README, step by step, publishes a message that the console consumer of Kafka sees', async () => {
  writeEmptyProject()
  await shell('npm install')

  const [addModel, install, addTables, enqueue, createTopic, startRelay, look] = commands()
  // The page about consumers goes on in this project; its tables come with the first, since drift is not looked for here.
  for (const blocks of [codeBlocks(quickStart), consumersPage]) {
    append('prisma/schema.prisma', blocks.find(({ language }) => language === 'prisma')!.code)
  }
  await shell(addModel!)
  await shell(install!.replace('prisma-extension-outbox', tarball))
  // Prisma's engine as WebAssembly can either apply a migration or look for drift, not both in one run.
  const applied = await shell(addTables!.replace('migrate dev', 'migrate deploy'))
  expect(applied).toContain('All migrations have been successfully applied.')
  for (const { path, code } of codeBlocks(quickStart)) if (path) write(path, code)
  expect(await shell(enqueue!)).toContain('Order 1 is placed.')
  await shell(createTopic!)
  const relay = await relayUntilPublished(startRelay!)
  const seen = (await shell(look!)).trim().split('\t')
  const last = await interrupt(relay)

  const [headers, key, value] = seen
  expect(key).toBe('1')
  expect(JSON.parse(value!)).toEqual({ id: 1, customer: 'ada@example.com', total: 1990 })
  const uuid = '[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}'
  const time = '\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z'
  expect(headers).toMatch(new RegExp(`^id:${uuid},created-at:${time},content-type:application/json$`))
  expect(await database.query('SELECT 1 FROM outbox')).toEqual([])
  expect(last).toMatchObject({ event: 'stopped', clean: true })
}, 240_000)

test('the event and the consumer of the README, with the tables that docs/consumers.md adds: what the handler writes is there', async () => {
  const addInbox = consumersPage.find(({ language }) => language === 'sh')!.code
  const files = ['src/events.ts', 'src/place-event.ts', 'src/confirm.ts']
  for (const path of files) write(path, codeBlocks(readme).find((block) => block.path === path)!.code)
  const [, , , , createTopic, startRelay] = commands()
  await shell(createTopic!.replace('order_placed', 'orders'))
  const added = await shell(addInbox.replace('migrate dev', 'migrate deploy'))
  expect(added).toContain('All migrations have been successfully applied.')
  await shell('npx tsx src/place-event.ts')
  // The event has the total of its order: without its handler it would stay what it is now.
  const newest = '(SELECT max(id) FROM "Order")'
  await database.query(`UPDATE "Order" SET total = 0 WHERE id = ${newest}`)
  await interrupt(await relayUntilPublished(startRelay!))
  start('npx tsx src/confirm.ts')
  const applied = () =>
    database.query(`SELECT o.total, i.consumer, p.reason FROM "Order" o, inbox i LEFT JOIN inbox_parked p USING (consumer, message_id)
      WHERE o.id = ${newest}`)
  await expect.poll(applied, { timeout: 60_000, interval: 200 }).toEqual([{ total: 1990, consumer: 'confirm', reason: null }])
}, 240_000)

test('the programs of docs/consumers.md run as they stand: each has its effect of the event, and what is watched shows it', async () => {
  for (const { path, code } of consumersPage) if (path) write(path, code)
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

test('every TypeScript example of the README and of the pages about consumers and tests compiles against the tarball', async () => {
  const page = codeBlocks(readFileSync(join(root, 'docs/testing.md'), 'utf8'))
  const examples = [...codeBlocks(readme), ...consumersPage, ...page].filter(({ language }) => language === 'ts')
  expect(examples.filter(({ path }) => path === undefined)).toEqual([])
  expect(examples.length).toBeGreaterThanOrEqual(6)
  for (const { path, code } of examples) write(path!, code)
  // The compiler sees the examples, and it is not lenient: without an error there it would say that none was found.
  const wrong = '// @ts-expect-error\nawait prisma.outbox.enqueue({ topic: 1, payload: {} })\n'
  write('src/wrong.ts', `import { prisma } from './db.js'\n${wrong}`)
  expect(await shell('npx tsc --noEmit')).toBe('')
}, 240_000)

/** Packs what the test run has built. */
async function pack(): Promise<string> {
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', home], { cwd: root })
  return join(home, JSON.parse(stdout)[0].filename)
}

/** What `prisma init --datasource-provider postgresql` of Prisma 7.10 leaves in an empty folder, and the compiler's settings. */
function writeEmptyProject(): void {
  const version = (name: string) => own.devDependencies[name] ?? own.dependencies[name]
  const names = [
    'prisma',
    '@prisma/client',
    '@prisma/adapter-pg',
    'tsx',
    'typescript',
    '@types/node',
    'zod',
    '@opentelemetry/api',
  ]
  const dependencies = Object.fromEntries(names.map((name) => [name, version(name)]))
  write('package.json', JSON.stringify({ name: 'shop', private: true, type: 'module', dependencies }))
  write(
    'prisma/schema.prisma',
    'generator client {\n  provider = "prisma-client"\n  output   = "../generated/prisma"\n}\n\ndatasource db {\n  provider = "postgresql"\n}\n',
  )
  write(
    'prisma7.config.ts',
    `import { defineConfig } from "prisma/config";

export default defineConfig({
  schema: "prisma/schema.prisma",
  migrations: {
    path: "prisma/migrations",
  },
  datasource: {
    url: process.env["DATABASE_URL"],
  },
});
`,
  )
  const compilerOptions = {
    target: 'ES2023',
    module: 'NodeNext',
    moduleDetection: 'force',
    strict: true,
    skipLibCheck: false,
    types: ['node'],
    lib: ['ES2023', 'ESNext.Disposable', 'DOM'],
  }
  write('tsconfig.json', JSON.stringify({ compilerOptions, include: ['src'] }))
}

/** The commands of the quick start, without the variables: those are given by the environment. */
function commands(): string[] {
  const shells = codeBlocks(quickStart).filter(({ language }) => language === 'sh')
  const [variables, ...rest] = shells.map(({ code }) => code)
  expect(variables!.match(/export (\w+)=/g)).toEqual(['export DATABASE_URL=', 'export KAFKA_BROKERS='])
  expect(rest).toHaveLength(7)
  return rest.map((code) => code.replaceAll('localhost:9092', kafka.brokers))
}

/** Kafka's own scripts are not in Maven's jars: these do what they do. The consumer of the README runs until it is stopped. */
async function writeKafkaTools(): Promise<void> {
  const java = kafkaJava(await kafkaJars())
    .map((argument) => `'${argument}'`)
    .join(' ')
  const script = (name: string, main: string, more = '') => {
    const path = join(home, 'bin', name)
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, `#!/bin/sh\nexec java ${java} ${main} "$@" ${more}\n`)
    chmodSync(path, 0o755)
  }
  script('kafka-topics.sh', 'org.apache.kafka.tools.TopicCommand')
  script('kafka-console-consumer.sh', 'org.apache.kafka.tools.consumer.ConsoleConsumer', '--max-messages 1 --timeout-ms 20000')
}

function environment(): NodeJS.ProcessEnv {
  return {
    ...process.env,
    DATABASE_URL: database.url,
    KAFKA_BROKERS: kafka.brokers,
    PATH: `${join(home, 'bin')}:${process.env.PATH}`,
    // Prisma's own commands run on its schema engine as WebAssembly: the native one is a download from another host than npm's.
    PRISMA_SCHEMA_ENGINE_BINARY: join(root, 'test', 'support', 'schema-engine.mjs'),
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
    NO_COLOR: '1',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_prefer_offline: 'true',
  }
}

/** Runs commands in the project; gives what they print, throws with it where one fails. */
async function shell(text: string): Promise<string> {
  try {
    return (await run('bash', ['-e', '-c', text], { cwd: project, env: environment() })).stdout
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string }
    throw new Error(`${text}\n${stdout}${stderr}`)
  }
}

/** A relay that was started by a command of the README. */
interface StartedRelay {
  child: ChildProcess
  /** Its log, line by line. */
  log: AsyncIterator<string>
}

/** Starts a program of the README, which runs until it is stopped; its whole group ends with the tests. */
function start(command: string) {
  const child = spawn('bash', ['-e', '-c', `exec ${command}`], {
    cwd: project,
    env: { ...environment(), LOG_LEVEL: 'debug' },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  })
  started.push(child)
  return child
}

/** Starts the relay as the README does, and waits until it has published. */
async function relayUntilPublished(command: string): Promise<StartedRelay> {
  const child = start(command)
  const log = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  for (let line = await log.next(); !line.done; line = await log.next()) {
    if (JSON.parse(line.value).event === 'published') return { child, log }
  }
  throw new Error('The relay ended before it published.')
}

/** Ctrl-C at a terminal: npx, its shell and the relay all get the signal. Gives the last line of the relay's log. */
async function interrupt({ child, log }: StartedRelay): Promise<unknown> {
  process.kill(-child.pid!, 'SIGINT')
  let last: unknown
  for (let line = await log.next(); !line.done; line = await log.next()) last = JSON.parse(line.value)
  return last
}

function write(path: string, text: string): void {
  mkdirSync(dirname(join(project, path)), { recursive: true })
  writeFileSync(join(project, path), text)
}

function append(path: string, text: string): void {
  write(path, `${readFileSync(join(project, path), 'utf8')}\n${text}`)
}
