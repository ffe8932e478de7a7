import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { cli } from '../support/cli.ts'

const home = mkdtempSync(join(tmpdir(), 'outbox-dot-env-'))
afterAll(() => rmSync(home, { recursive: true, force: true }))

/** Nothing listens there. */
const nowhere = 'postgresql://u:p@127.0.0.1:1/d'
const unreachable = { code: 1, stderr: expect.stringContaining('OUTBOX_DATABASE_UNREACHABLE') }

test('a command reads the .env of its working directory', async () => {
  expect(await cli(['status'], {}, home)).toMatchObject({ code: 2, stderr: expect.stringContaining('DATABASE_URL') })
  writeFileSync(join(home, '.env'), `# As "prisma init" writes it.\nDATABASE_URL="${nowhere}"\n`)
  expect(await cli(['status'], {}, home)).toMatchObject(unreachable)
})

test('variables of the environment win over it, and flags over both', async () => {
  writeFileSync(join(home, '.env'), 'DATABASE_URL="mysql://u:p@127.0.0.1/d"\n')
  expect(await cli(['status'], {}, home)).toMatchObject({ code: 2 })
  expect(await cli(['status'], { DATABASE_URL: nowhere }, home)).toMatchObject(unreachable)
  expect(await cli(['status', '--database-url', nowhere], {}, home)).toMatchObject(unreachable)
})

test('one that cannot be read is refused, and its content not shown', async () => {
  const folder = join(home, 'folder')
  mkdirSync(join(folder, '.env'), { recursive: true })
  chmodSync(join(folder, '.env'), 0)
  expect(await cli(['status'], { DATABASE_URL: nowhere }, folder)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('The file .env in the working directory cannot be read.'),
  })
})
