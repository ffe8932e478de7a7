import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { type KafkaServer, startKafka } from '../support/kafka.ts'
import { codeBlocks, pageOf, section } from '../support/readme.ts'
import { pack, shellIn, userEnvironment } from '../support/tarball.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const home = mkdtempSync(join(tmpdir(), 'outbox-prisma-8-'))
const project = join(home, 'shop')
const page = pageOf('docs/guides/prisma-8.md')

const started: ChildProcess[] = []
let database: TestDatabase
let kafka: KafkaServer
let tarball: string

beforeAll(async () => {
  // A broker of its own: the topic has the name that the page gives it.
  const servers = Promise.all([createDatabase('', { migrate: false }), startKafka()])
  tarball = await pack(home)
  ;[database, kafka] = await servers
  mkdirSync(project)
}, 120_000)

function stopAll(): void {
  for (const { pid } of started.splice(0)) {
    try {
      process.kill(-pid!, 'SIGKILL')
    } catch {
      // All of the group have ended.
    }
  }
}

afterAll(async () => {
  stopAll()
  await kafka?.remove()
  await database?.drop()
  rmSync(home, { recursive: true, force: true })
})

const environment = (): NodeJS.ProcessEnv => ({ ...userEnvironment(), PRISMA_DISABLE_TELEMETRY: '1' })

/**
 * The servers run at other addresses, and the package comes from its tarball. The program `prisma` brings 1 GB of packages that are none of
 * the ORM's: its commands are run by test/prisma8/prisma.mjs, which mounts the same ones. Nothing else is changed.
 */
function substituted(text: string): string {
  return text
    .replaceAll('postgresql://postgres:postgres@127.0.0.1:5432/postgres', database.url)
    .replaceAll('127.0.0.1:9092', kafka.brokers)
    .replace('npm install prisma-extension-outbox', `npm install ${tarball}`)
    .replace(/ prisma@\S+/, '')
    .replaceAll('npx prisma ', `node ${join(root, 'test/prisma8/prisma.mjs')} `)
}

function start(command: string): { output(): string } {
  let output = ''
  const how = {
    cwd: project,
    env: environment(),
    stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'],
    detached: true,
  }
  const child = spawn('bash', ['-c', command], how)
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (output += text))
  started.push(child)
  return { output: () => output }
}

function write(path: string, text: string): void {
  mkdirSync(dirname(join(project, path)), { recursive: true })
  writeFileSync(join(project, path), text)
}

const waiting = () => database.query('SELECT topic FROM outbox')

test('the quick start of Prisma 8, from an empty folder, as printed: a consumer sees the message', async () => {
  const blocks = codeBlocks(section('## Quick start', page))
  const paths = ['.env', 'prisma.config.ts', 'src/contract.prisma', 'src/db.ts', 'src/place-order.ts', 'src/receive.ts']
  expect(blocks.filter(({ path }) => path).map(({ path }) => path)).toEqual(paths)
  const times: string[] = []
  let last: { output(): string } | undefined
  for (const { language, path, code } of blocks) {
    const text = substituted(code)
    const began = performance.now()
    if (path) write(path, text)
    else if (language !== 'sh') await expect.poll(() => last!.output(), { timeout: 60_000, interval: 100 }).toContain(code)
    else if (/ relay | src\/receive/.test(text)) {
      last = start(text.trim())
      // The topic is there when the message is.
      if (text.includes(' relay ')) await expect.poll(waiting, { timeout: 120_000, interval: 200 }).toEqual([])
    } else {
      const output = await shellIn(project, text, environment())
      expect(output).toContain(/# prints: (.*)$/m.exec(text)?.[1] ?? '')
    }
    if (!path) times.push(`${((performance.now() - began) / 1000).toFixed(1)} s  ${code.trim().split('\n').join('; ')}`)
  }
  console.log(`The quick start of Prisma 8, command by command:\n${times.join('\n')}`)
}, 400_000)

test('the serverless program of the page enqueues', async () => {
  stopAll()
  for (const { path, code } of codeBlocks(section('## Serverless', page))) write(path!, code)
  await shellIn(project, 'npx tsx src/serverless.ts', environment())
  expect(await waiting()).toEqual([{ topic: 'order_placed' }])
}, 120_000)

test('every program of the page compiles against the tarball', async () => {
  for (const { path, code } of codeBlocks(page)) if (path?.endsWith('.ts')) write(path, code)
  const compilerOptions = {
    target: 'ES2023',
    module: 'NodeNext',
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    resolveJsonModule: true,
    allowImportingTsExtensions: true,
    types: ['node'],
    lib: ['ES2023', 'ESNext.Disposable', 'DOM'],
  }
  write('tsconfig.json', JSON.stringify({ compilerOptions, include: ['src', '*.ts'] }))
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  await shellIn(project, `npm install --no-save @types/node@20 && node ${compiler}`, environment())
}, 240_000)
