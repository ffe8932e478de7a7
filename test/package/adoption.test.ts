import { type ChildProcess, spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { freePort } from '../support/ports.ts'
import { pack, shellIn, userEnvironment } from '../support/tarball.ts'
import { createTopic } from '../support/topics.ts'

// The package in the tools that applications use, from its tarball. One application (`adoption/`), one installation for all rows but pnpm's.

const root = fileURLToPath(new URL('../../', import.meta.url))
const home = mkdtempSync(join(tmpdir(), 'outbox-adoption-'))
const project = join(home, 'shop')
const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  version: string
  devDependencies: Record<string, string>
}

const ofThisRepository = (...names: string[]) => names.map((name) => `${name}@${own.devDependencies[name]}`)
const runtime = [...ofThisRepository('@prisma/client', '@prisma/adapter-pg'), 'zod@4']
const tools = [
  ...ofThisRepository('prisma', 'typescript', '@types/node', 'vitest'),
  ...['jest@30', '@types/jest@30', 'ts-jest@29', '@swc/jest@0.2', '@swc/core@1', 'babel-jest@30', '@babel/core@7'],
  ...['@babel/preset-env@7', '@babel/preset-typescript@7', 'esbuild@0.28', 'next@16', 'react@19', 'react-dom@19', 'pnpm@10'],
]

let database: TestDatabase
let tarball: string
let topic: string
let server: ChildProcess | undefined

/** The application's environment, as its `.env` would have it. */
const environment = (more: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv => ({
  ...userEnvironment(),
  DATABASE_URL: database.url,
  KAFKA_BROKERS: inject('brokers'),
  TOPIC: topic,
  NEXT_TELEMETRY_DISABLED: '1',
  ...more,
})
const shell = (text: string, more?: NodeJS.ProcessEnv) => shellIn(project, text, environment(more))

beforeAll(async () => {
  cpSync(join(root, 'test/package/adoption'), project, { recursive: true })
  writeFileSync(join(project, 'package.json'), '{ "name": "shop", "version": "9.9.9", "private": true }\n')
  ;[database, tarball, topic] = await Promise.all([
    createDatabase('CREATE TABLE "Order" ("id" serial PRIMARY KEY, "total" integer NOT NULL)'),
    pack(home),
    createTopic('adoption', 3),
  ])
  await shell(`npm install --no-save ${[tarball, ...runtime, ...tools].join(' ')}`)
  await shell('npx prisma-extension-outbox init && npx prisma generate')
}, 300_000)

afterAll(async () => {
  try {
    process.kill(-server!.pid!, 'SIGKILL')
  } catch {
    // It has ended, or never began.
  }
  await database?.drop()
  rmSync(home, { recursive: true, force: true })
})

// A row that fails leaves nothing to the next.
beforeEach(() => database.query('TRUNCATE outbox'))

describe('TypeScript', () => {
  // CommonJS with node10, node16, nodenext, bundler; strict and not; all with declarations.
  test.each(['nestjs-10', 'nestjs-11', 'commonjs', 'node16', 'bundler'])(
    'compiles the application with the settings %s, and its declarations have names',
    async (name) => {
      expect(await shell(`npx tsc -p tsconfig.${name}.json`)).toBe('')
      expect(readFileSync(join(project, `out/${name}/db.d.ts`), 'utf8')).toContain('wrapped')
    },
    120_000,
  )
})

/** What `embedded.ts` prints: the version is the package's, not that of the application or bundle around it. */
const ran = { total: 1990, version: own.version, published: 1, endedBy: 'empty' }

describe('test runners run the application with its outbox, as they are', () => {
  test('Jest with ts-jest, @swc/jest and babel-jest', async () => {
    // One after the other: each drains the outbox.
    await shell('npx jest --runInBand --json --outputFile=jest.json', { TOPIC: undefined })
    const { numPassedTests, testResults } = JSON.parse(readFileSync(join(project, 'jest.json'), 'utf8'))
    expect([numPassedTests, testResults.length]).toEqual([6, 3])
  }, 180_000)

  test('vitest', async () => {
    expect(await shell('npx vitest run --globals --reporter=dot spec/place.spec.ts', { TOPIC: undefined })).toContain('2 passed')
  }, 120_000)
})

describe('esbuild', () => {
  const require = `--banner:js="import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);"`
  const bundle = (format: string, more: string) =>
    shell(`npx esbuild src/embedded.ts --bundle --platform=node --format=${format} --minify --log-level=warning ${more} 2>&1`)

  test.each([
    ['cjs', 'cjs', ''],
    ['esm', 'mjs', require],
  ])(
    'bundles enqueue and relay as %s, without a warning; the bundle runs alone',
    async (format, extension, more) => {
      const alone = join(home, `alone-${format}`)
      expect(await bundle(format, `--outfile=${alone}/app.${extension} ${more}`)).toBe('')
      expect(JSON.parse(await shellIn(alone, `node app.${extension}`, environment()))).toEqual(ran)
      // Its optional package is searched for when it runs, beside the bundle.
      const started = await shellIn(alone, `node app.${extension} || true`, environment({ TRANSPORT: 'platformatic' }))
      expect(started).toContain('OUTBOX_TRANSPORT_PACKAGE')
      cpSync(join(root, 'node_modules/@platformatic'), join(alone, 'node_modules/@platformatic'), { recursive: true })
      await shellIn(alone, `ln -s ${join(root, 'node_modules')}/* node_modules/ 2>/dev/null || true`)
      const found = await shellIn(alone, `node app.${extension}`, environment({ TRANSPORT: 'platformatic' }))
      expect(JSON.parse(found)).toMatchObject({ version: own.version, endedBy: 'empty' })
    },
    120_000,
  )
})

test('Next.js builds an application that enqueues in a route and relays in instrumentation.ts, and it runs', async () => {
  await shell('npx next build')
  const port = await freePort()
  let output = ''
  server = spawn('npx', ['next', 'start', '-p', String(port), '-H', '127.0.0.1'], {
    cwd: project,
    env: environment(),
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  for (const stream of [server.stdout!, server.stderr!]) stream.on('data', (text) => (output += text))
  const post = async () => (await fetch(`http://127.0.0.1:${port}/enqueue`, { method: 'POST' })).json()
  await expect.poll(() => post().catch(() => output), { timeout: 60_000, interval: 300 }).toMatchObject({ total: 7 })
  await expect.poll(() => output, { timeout: 30_000, interval: 200 }).toMatch(/published 1/)
  expect(output).toContain(`version ${own.version}`)
  process.kill(-server.pid!, 'SIGTERM')
  // The next row drains the outbox: until then this relay has to have given its leases up.
  const leased = () => database.query('SELECT bucket FROM outbox_lease WHERE leased_until > clock_timestamp()')
  await expect.poll(leased, { timeout: 30_000, interval: 200 }).toEqual([])
}, 240_000)

test("the application runs in pnpm's node_modules, where a package sees only what it names", async () => {
  const strict = join(home, 'strict')
  mkdirSync(strict)
  writeFileSync(join(strict, 'package.json'), '{ "name": "shop", "private": true }\n')
  await shell(`npx esbuild $(find src -name '*.ts') --format=cjs --platform=node --outdir=${strict}/src --log-level=warning`)
  const pnpm = join(project, 'node_modules/.bin/pnpm')
  await shellIn(strict, `${pnpm} add --silent --ignore-scripts ${[tarball, ...runtime].join(' ')}`)
  expect(JSON.parse(await shellIn(strict, 'node src/embedded.js', environment()))).toEqual(ran)
}, 180_000)
