import { EventEmitter, once } from 'node:events'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Busy, OperatorOnDemand } from '../../../src/ops/dashboard/on-demand.ts'
import { postgresOperator } from '../../../src/store/postgres/operator.ts'
import { useDatabase } from '../../support/database.ts'

const database = useDatabase('all')

/** The view, and one question to it. */
function viewed() {
  const view = new OperatorOnDemand(() => postgresOperator({ databaseUrl: database.url }))
  onTestFinished(() => view.close())
  const groups = () => view.ask((operator) => operator.deadGroups(1))
  return { view, groups }
}

/** Connections of operators to this database. */
const connections = async () => {
  const own = "datname = current_database() AND application_name = 'prisma-extension-outbox'"
  return Number((await database.query(`SELECT count(*) AS n FROM pg_stat_activity WHERE ${own}`))[0]!.n)
}

test('nobody is connected before the first question; questions share one connection, which is given back when nobody asks', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const { groups } = viewed()
  expect(await connections()).toBe(0)
  await Promise.all([groups(), groups(), groups()])
  expect(await connections()).toBe(1)
  vi.advanceTimersByTime(59_000)
  await groups()
  vi.advanceTimersByTime(59_000)
  expect(await connections()).toBe(1)
  vi.advanceTimersByTime(1_000)
  vi.useRealTimers()
  await expect.poll(connections).toBe(0)
  expect(await groups()).toEqual([])
})

test('a connection is not given back while somebody waits for an answer, however long', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  const { view, groups } = viewed()
  await groups()
  const looked = new EventEmitter()
  const long = view.ask(async (operator) => {
    await once(looked, 'over')
    return operator.deadGroups(1)
  })
  await groups()
  vi.advanceTimersByTime(120_000)
  looked.emit('over')
  expect(await long).toEqual([])
})

test('the ninth question at once is refused, and none once an answer is there', async () => {
  const { view, groups } = viewed()
  const looked = new EventEmitter()
  const over = once(looked, 'over')
  const eight = Array.from({ length: 8 }, () => view.ask(() => over))
  await expect(groups()).rejects.toBeInstanceOf(Busy)
  looked.emit('over')
  await Promise.all(eight)
  expect(await groups()).toEqual([])
})

test('after a connection is lost the next question has a new one', async () => {
  const { groups } = viewed()
  await groups()
  await database.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'prisma-extension-outbox'",
  )
  await groups().catch(() => {})
  expect(await groups()).toEqual([])
})
