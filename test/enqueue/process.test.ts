import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { shopSql } from './clients.ts'

let db: TestDatabase
beforeAll(async () => {
  db = await createDatabase(shopSql)
})
afterAll(() => db.drop())

/** Runs the body in a process of its own, with `base`, `prisma` (extended) and `enqueue`. */
function program(body: string): Promise<{ code: number | null; errors: string }> {
  const from = (path: string) => JSON.stringify(fileURLToPath(new URL(path, import.meta.url)))
  const source = `
    import { PrismaPg } from '@prisma/adapter-pg'
    import { enqueue, outbox } from ${from('../../src/index.ts')}
    import { PrismaClient } from ${from('./generated/client/client.ts')}
    const base = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL }) })
    const prisma = base.$extends(outbox())
    ${body}`
  const args = ['--import', 'tsx', '--input-type=module', '--eval', source]
  const child = spawn(process.execPath, args, { env: { ...process.env, DATABASE_URL: db.url }, timeout: 30_000 })
  let errors = ''
  child.stderr.on('data', (text) => {
    errors += text
  })
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, errors })))
}

test('a program that enqueues and disconnects ends by itself', async () => {
  const begin = performance.now()
  const { code, errors } = await program(`
    for (let i = 0; i < 3; i++) await prisma.$transaction((tx) => tx.outbox.enqueue({ topic: 'a', payload: i }))
    await prisma.$disconnect()`)
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
  // A pool that a late wake-up opened again would hold the process for ten seconds.
  expect(performance.now() - begin).toBeLessThan(9000)
  expect(await db.query('SELECT topic FROM outbox')).toHaveLength(3)
})

test('a failed enqueue that nobody awaits fails its transaction, not the process', async () => {
  const { code } = await program(`
    const failing = prisma.$transaction(async (tx) => { void tx.outbox.enqueue({ topic: 'poison', payload: 1 }) })
    await failing.then(() => process.exit(7), () => {})
    await new Promise((resolve) => setImmediate(resolve))
    await prisma.$disconnect()`)
  expect(code).toBe(0)
})

test('an enqueue that is its own transaction and fails unheard is an unhandled rejection', async () => {
  const { code, errors } = await program(`
    void base.$extends(outbox({ requireTransaction: false })).outbox.enqueue({ topic: 'poison', payload: 1 })
    await new Promise((resolve) => setTimeout(resolve, 4000))`)
  expect(code).toBe(1)
  expect(errors).toContain('no_poison')
})

test('where no extension answers for it, such a failure is an unhandled rejection', async () => {
  const { code, errors } = await program(`
    await base.$transaction(async (tx) => {
      void enqueue(tx, { topic: 'poison', payload: 1 })
      await new Promise((resolve) => setTimeout(resolve, 4000))
    })`)
  expect(code).toBe(1)
  expect(errors).toContain('no_poison')
})
