import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { useDatabase } from '../support/database.ts'
import { prisma6 } from '../support/installed.ts'
import { diagnose } from './diagnose.ts'

const database = useDatabase('all')

const judged = async (folder: string) => (await diagnose({ DATABASE_URL: database.directUrl }, folder)).of('prisma')

test('the Prisma 7 of this folder and the Prisma 6 of another are well', async () => {
  expect(await judged(process.cwd())).toMatchObject({ level: 'ok', finding: expect.stringContaining('@prisma/client 7.10.0') })
  expect(await judged(join(await prisma6(), '..'))).toMatchObject({
    level: 'ok',
    finding: expect.stringContaining('@prisma/client 6.19'),
  })
})

test.each([
  [undefined, 'unseen'],
  ['5.22.0', 'failure'],
  ['6.15.0', 'failure'],
  ['6.16.0', 'ok'],
  ['7.3.0', 'ok'],
  ['7.4.2', 'warning'],
  ['7.5.0', 'ok'],
])('a folder with @prisma/client %s is %s', async (version, level) => {
  const folder = await mkdtemp(join(tmpdir(), 'outbox-doctor-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await writeFile(join(folder, 'package.json'), '{}')
  if (version !== undefined) {
    const installed = join(folder, 'node_modules', '@prisma', 'client')
    await mkdir(installed, { recursive: true })
    await writeFile(join(installed, 'package.json'), JSON.stringify({ name: '@prisma/client', version }))
  }
  const verdict = await judged(folder)
  expect(verdict.level).toBe(level)
  if (level !== 'ok') expect([verdict.why, verdict.fix]).toEqual([expect.stringMatching(/.+/), expect.stringMatching(/.+/)])
})
