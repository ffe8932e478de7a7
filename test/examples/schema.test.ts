import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { builtMain } from '../support/build.ts'

// The change of the shop's events as it goes through continuous integration: what is on the main branch, and what wants to get there.

const root = fileURLToPath(new URL('../../', import.meta.url))
const shop = join(root, 'examples', 'orders')
mkdirSync(join(root, '.cache'), { recursive: true })
// Below the repository, where the packages are found.
const clone = mkdtempSync(join(root, '.cache', 'shop-'))
afterAll(() => rmSync(clone, { recursive: true, force: true }))

const git = (...args: string[]) =>
  execFileSync('git', ['-C', clone, '-c', 'user.name=a', '-c', 'user.email=a@b', ...args], { encoding: 'utf8' })

function schema(...args: string[]) {
  const env = { PATH: process.env.PATH ?? '' }
  const { status, stdout, stderr } = spawnSync(process.execPath, [builtMain, 'schema', ...args], {
    cwd: clone,
    env,
    encoding: 'utf8',
  })
  return { code: status, stdout, stderr }
}

/** The catalog of the clone is that of the shop before the change, or after it. */
function write(catalog: 'before/events.ts' | 'events.ts'): void {
  mkdirSync(join(clone, 'src'), { recursive: true })
  writeFileSync(join(clone, 'src', 'events.ts'), `export { events } from ${JSON.stringify(join(shop, catalog))}\n`)
}

beforeAll(() => {
  git('init', '-q', '-b', 'main')
  write('before/events.ts')
  expect(schema('lock')).toMatchObject({ code: 0, stdout: 'events.lock.json holds 2 events: OrderPlaced, OrderShipped.\n' })
  git('add', '.')
  git('commit', '-qm', 'The shop sells in the web')
})

test('the channel passes against the main branch, as the README of the shop shows it, and any order of deployment will do', () => {
  git('checkout', '-qb', 'channel')
  write('events.ts')
  const { code, stdout, stderr } = schema('check', '--git', 'main')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  const shown = /```\n(\+ [\s\S]+?)```/.exec(readFileSync(join(shop, 'README.md'), 'utf8'))?.[1]
  expect(stdout).toBe(shown)
})

test('then lock writes it down, and what takes it back is refused: its messages are in Kafka', () => {
  write('events.ts')
  expect(schema('lock').code).toBe(0)
  expect(schema('check')).toEqual({ code: 0, stdout: 'The events are as events.lock.json has them.\n', stderr: '' })
  write('before/events.ts')
  const { code, stdout } = schema('check')
  expect(code).toBe(1)
  expect(stdout).toContain('✗ OrderPlaced version 2: the version is gone. Breaks new consumers.')
})
