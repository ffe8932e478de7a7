import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { shopSql } from '../enqueue/clients.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { codeBlocks, readme } from '../support/readme.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const blocks = codeBlocks(readFileSync(join(root, 'docs/testing.md'), 'utf8')).filter(({ language }) => language === 'ts')
const tests = blocks.flatMap(({ path }) => (path?.endsWith('.test.ts') ? [path] : []))
/** Inside the package, which its examples import by its name. */
const project = join(root, '.cache', `testing-page-${process.pid}`)

let db: TestDatabase
beforeAll(async () => {
  db = await createDatabase(shopSql)
  const own = codeBlocks(readme).find(({ path }) => path === 'src/db.ts')!
  for (const { path, code } of [own, ...blocks]) write(path!, code)
  write('generated/prisma/client.ts', `export * from ${JSON.stringify(join(root, 'test/enqueue/generated/client/client.ts'))}\n`)
})
afterAll(async () => {
  rmSync(project, { recursive: true, force: true })
  await db.drop()
})

function write(path: string, code: string): void {
  mkdirSync(dirname(join(project, path)), { recursive: true })
  writeFileSync(join(project, path), code)
}

test('every block of the page is a file, and one each shows a helper', () => {
  expect(blocks.map(({ path }) => path)).not.toContain(undefined)
  const names = [...readFileSync(join(root, 'src/testing/index.ts'), 'utf8').matchAll(/(?:\{|,)\s*([a-z]\w+)(?=[,\s}])/g)].map(
    ([, name]) => name!,
  )
  const helpers = names.filter((name) => name !== 'type')
  expect(helpers).toEqual(expect.arrayContaining(['checkWire', 'drain', 'enqueued', 'expectEnqueued', 'memoryTransport']))
  for (const helper of helpers)
    expect(
      blocks.some(({ code }) => code.includes(`${helper}(`)),
      helper,
    ).toBe(true)
})

test.each(tests)('%s of the page runs, and leaves nothing in the outbox', { timeout: 60_000 }, async (path) => {
  const args = ['--import', 'tsx', '--test', '--test-reporter=tap', join(project, path)]
  const env = { ...process.env, DATABASE_URL: db.url, NODE_OPTIONS: '' }
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, env }).catch((error) => error)
  expect(stdout).toMatch(/^# pass [1-9]\d*$/m)
  expect(stdout).toMatch(/^# fail 0$/m)
  expect(await db.query('SELECT topic FROM outbox UNION ALL SELECT topic FROM outbox_dead_letter')).toEqual([])
})
