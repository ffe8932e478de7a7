import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, test } from 'vitest'
import { cli } from '../support/cli.ts'
import { codeBlocks, pageOf } from '../support/readme.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
// Below the repository, where zod is found.
mkdirSync(join(root, '.cache'), { recursive: true })
const home = mkdtempSync(join(root, '.cache', 'schema-'))
const [events, lock] = [join(home, 'events.ts'), join(home, 'events.lock.json')]
afterAll(() => rmSync(home, { recursive: true, force: true }))

const schema = (action: string, ...more: string[]) => cli(['schema', action, '--events', events, '--lock', lock, ...more])

function write(version: string, more = ''): void {
  writeFileSync(
    events,
    `import { z } from 'zod'
import { defineEvents, event } from ${JSON.stringify(join(root, 'src', 'index.ts'))}
enum TypeScriptOnly { Topic = 'orders' }
export const Placed = event({ topic: TypeScriptOnly.Topic, key: (e) => e.id, schema: z.object({ id: z.string(), total: ${version} }) })${more}
export const events = defineEvents({ Placed })
`,
  )
}

test('lock writes the file, check compares with it, and fails where something breaks', async () => {
  write('z.number()')
  expect(await schema('check')).toMatchObject({ code: 1, stderr: expect.stringContaining('Write it with "schema lock"') })
  expect(await schema('lock')).toEqual({ code: 0, stdout: `${lock} holds 1 event: Placed.\n`, stderr: '' })
  const text = readFileSync(lock, 'utf8')
  expect(await schema('check')).toEqual({ code: 0, stdout: `The events are as ${lock} has them.\n`, stderr: '' })
  const git = (...args: string[]) => execFileSync('git', ['-C', home, '-c', 'user.name=a', '-c', 'user.email=a@b', ...args])
  git('init', '-q')
  git('add', '.')
  git('commit', '-qm', 'locked')

  write('z.string()')
  const broken = await schema('check')
  expect(broken.code).toBe(1)
  expect(broken.stdout).toContain(
    '✗ Placed version 1, payload.total: number became string. Breaks new consumers.\n  Leave the version',
  )
  const json = await schema('check', '--json')
  expect(JSON.parse(json.stdout)).toHaveLength(2)
  expect(JSON.parse(json.stdout)[0]).toEqual({
    level: 'break',
    type: 'Placed',
    version: 1,
    path: 'payload.total',
    reason: 'number became string',
    breaks: 'new consumers',
    remedy: expect.stringContaining('.evolve('),
  })

  // The file is not written over a break, unless somebody says why.
  expect((await schema('lock')).code).toBe(1)
  expect(readFileSync(lock, 'utf8')).toBe(text)
  expect((await schema('lock', '--accept', 'never deployed')).code).toBe(0)
  expect(JSON.parse(readFileSync(lock, 'utf8')).accepted[0]).toEqual({
    finding: 'Placed version 1, payload.total: number became string. Breaks new consumers.',
    reason: 'never deployed',
  })
  expect((await schema('check')).code).toBe(0)
})

test('a new version passes, with the order of deployment', async () => {
  rmSync(lock)
  write('z.number()')
  await schema('lock')
  write(
    'z.number()',
    `.evolve({ schema: z.object({ id: z.string(), total: z.string() }), up: (e) => ({ ...e, total: String(e.total) }) })`,
  )
  const { code, stdout } = await schema('check')
  expect(code).toBe(0)
  expect(stdout).toContain('+ Placed version 2: version 2 is new.\n  Run "schema lock".')
  expect(stdout).toContain(
    '! Placed version 2, payload.total: string became number, for consumers that stop at version 1. Breaks old consumers.',
  )
})

test('what the guides show is what its events give, when a version is changed in its place and a value is added in a new one', async () => {
  const block = codeBlocks(pageOf('docs/guides/typed-events.md')).find(({ path }) => path === 'src/events.ts')!.code
  const locked = block.replace("'prisma-extension-outbox'", JSON.stringify(join(root, 'src', 'index.ts')))
  writeFileSync(events, locked)
  rmSync(lock, { force: true })
  await schema('lock')
  const third = "total: Money, channel: z.enum(['web', 'shop']).default('web') }),\n    up: (old) => old,\n  })"
  expect(locked).toContain(third)
  const fourth = `total: z.number(), channel: z.enum(['web', 'shop']).default('web') }),
    up: (old) => ({ ...old, total: old.total.amount }),
  })
  .evolve({
    schema: z.object({ orderId: z.string(), total: Money, channel: z.enum(['web', 'shop', 'phone']) }),
    up: (old) => ({ ...old, total: { amount: old.total, currency: 'EUR' } }),
  })`
  writeFileSync(events, locked.replace(third, fourth))
  const { code, stdout } = await schema('check')
  expect(stdout).toBe(codeBlocks(pageOf('docs/guides/schema-evolution.md')).find(({ code }) => code.startsWith('✗'))!.code)
  expect(code).toBe(1)
})

test('what cannot be loaded is refused with code 2, or 1 where it is not there', async () => {
  writeFileSync(events, 'export const nothing = 1\n')
  expect(await schema('lock')).toMatchObject({ code: 2, stderr: expect.stringContaining('exports no catalog') })
  writeFileSync(events, 'export const = 1\n')
  expect(await schema('lock')).toMatchObject({ code: 2, stderr: expect.stringContaining('cannot be loaded') })
  expect(await cli(['schema', 'lock', '--events', join(home, 'none.ts')])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('There is no'),
  })
  expect(await schema('unlock')).toMatchObject({ code: 2, stderr: expect.stringContaining('"schema lock" or "schema check"') })
  write('z.number()')
  expect(await schema('check', '--git', 'no-such-branch')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('Git does not give'),
  })
  expect(await schema('check', '--git', '--output=x')).toMatchObject({ code: 2 })
})
