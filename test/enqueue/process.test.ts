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

test('a program that enqueues and disconnects ends on its own', async () => {
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

test.each([
  ['one message', '[prisma.order.create({ data: { customer: "Ada" } }), loose.outbox.enqueue({ topic: "a", payload: 1 })]'],
  ['several messages', '[loose.outbox.enqueueMany([{ topic: "a", payload: 1 }, { topic: "b", payload: 1 }])]'],
  ['several enqueues', '[loose.outbox.enqueue({ topic: "a", payload: 1 }), loose.outbox.enqueue({ topic: "b", payload: 1 })]'],
])('a refused array form whose error is caught leaves the process alone: %s', async (_, operations) => {
  const { code, errors } = await program(`
    const loose = base.$extends(outbox({ requireTransaction: false }))
    try { await loose.$transaction(${operations}) } catch (error) { if (error.code !== 'OUTBOX_ARRAY_FORM') throw error }
    await new Promise((resolve) => setImmediate(resolve))
    await base.$disconnect()`)
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
})

test.each([
  ['timers are numbers, as in jsdom, Deno and Workers', 'globalThis.setTimeout = (...args) => Number(timeout(...args))'],
  // Longer than our wait: pg's own, for a connection that idles.
  [
    'a timer is refused',
    "globalThis.setTimeout = (run, ms) => { if (ms <= 50) throw new Error('refused'); return timeout(run, ms) }",
  ],
  ['the clock fails', "globalThis.performance.now = () => { throw new Error('no clock here') }"],
])('a wake-up that fails does not reject a transaction that has committed: %s', async (_, runtime) => {
  const { code, errors } = await program(`
    const { setTimeout: timeout, performance: { now } } = globalThis
    for (let i = 0; i < 3; i++) {
      await prisma.$transaction(async (tx) => {
        await tx.outbox.enqueue({ topic: 'committed', payload: i })
        // From here on there is the commit, and what comes after it.
        ${runtime}
      })
      Object.assign(globalThis, { setTimeout: timeout })
      performance.now = now
    }
    process.exit(0)`)
  expect({ code, errors }).toEqual({ code: 0, errors: '' })
})
