import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { inbox } from '../../src/inbox/index.ts'
import { LateStatements } from '../support/late-statements.ts'
import { leftOut } from '../support/prisma-majors.ts'
import { type Client, connect, createStage, effect, record, start, useMail } from './stage.ts'

// A statement of the inbox that Prisma dispatches after its transaction has ended (prisma/orm#29762). One that commits alone loses a message.

// There statements are held up by a middleware: test/prisma8/inbox.test.ts.
leftOut('Prisma 8', 'adapters')

const { query, url, effects } = useMail()

/** Milliseconds until a transaction times out, and its held statement is let go. */
const handlerTimeoutMs = 500

function lateClient(which: (sql: string) => boolean): { late: LateStatements; client: Client } {
  const late = new LateStatements(which)
  const client = connect(url(), 10, late.adapt)
  onTestFinished(() => client.$disconnect())
  return { late, client }
}

const has =
  (...parts: string[]) =>
  (sql: string) =>
    parts.every((part) => sql.includes(part))

const insert = 'INSERT INTO "public"."inbox" '

test.each([
  ['the claim after a handler', (sql: string) => sql.startsWith(insert)],
  [
    'the claim of a message that is dead-lettered',
    (sql: string) => has('written AS', insert)(sql) && !/blocked|gone|unnest/.test(sql),
  ],
  ['the row of a message that is dead-lettered', has('INSERT INTO "public"."inbox_dead_letter"')],
  ['the claim of a message that goes behind it', has('blocked AS')],
  ['the removal of a message that was redriven', has('gone AS')],
  ['the request that is handed on', has(`SET "requested_action" = 'redrive'`)],
  ['the removal of a message that is discarded', has(`'discard'`)],
])('%s comes late: each message has its effect once, and none is lost', async (_, which) => {
  const stage = await createStage(1)
  const { late, client } = lateClient(which)
  const broken = (n: number) => record('key', n, { value: `broken ${n}` })
  await stage.send([broken(1), record('key', 2), broken(3), record('key', 4), record('fine', 5)])
  const { times, until, all } = start(stage, client, 'mail', {
    handlerTimeoutMs,
    deadLetter: { after: 1 },
    handlers: { Counted: (event, tx) => effect(tx, 'mail', event) },
  })
  await until('applied', ({ messages }) => messages === 1)
  await times('blocked', 3)
  expect(all('dead_lettered')).toMatchObject([{ offset: '0', reason: 'INVALID_JSON' }])
  await query(`UPDATE inbox_dead_letter SET value = '{"name":"key","n":1}' WHERE "offset" = 0`)
  await query(
    `UPDATE inbox_dead_letter SET requested_action = CASE "offset" WHEN 0 THEN 'redrive' ELSE 'discard' END, requested_by = 'me' WHERE "offset" IN (0, 2)`,
  )
  await late.arrived
  await expect.poll(() => query('SELECT FROM inbox_dead_letter'), { timeout: 20_000 }).toEqual([])
  expect((await effects()).map(({ n }) => n)).toEqual([5, 1, 2, 4])
  expect(await query('SELECT FROM inbox')).toHaveLength(5)
})

test('the claims of a batch come late: each message has its effect once', async () => {
  const stage = await createStage(1)
  const { late, client } = lateClient(has('written AS', insert, 'unnest'))
  await stage.send([1, 2, 3].map((n) => record('a', n)))
  const { until } = start(stage, client, 'mail', {
    handlerTimeoutMs,
    batch: 10,
    deadLetter: { after: 1 },
    handlers: {
      async Counted(events, tx) {
        for (const event of events) await effect(tx, 'mail', event)
      },
    },
  })
  expect(await until('apply_failed')).toMatchObject({ code: 'OUTBOX_TRANSACTION_OVER', attempt: 0 })
  await late.arrived
  await until('applied')
  expect((await effects()).map(({ n }) => n)).toEqual([1, 2, 3])
})

test('a late claim says so, does not count towards dead-lettering, and is tried again', async () => {
  const stage = await createStage(1)
  const { client } = lateClient((sql) => sql.startsWith(insert))
  await stage.send([record('a', 1)])
  const { until } = start(stage, client, 'mail', {
    handlerTimeoutMs,
    deadLetter: { after: 1 },
    handlers: { Counted: (event, tx) => effect(tx, 'mail', event) },
  })
  expect(await until('apply_failed')).toMatchObject({ code: 'OUTBOX_TRANSACTION_OVER', attempt: 0 })
  await until('applied')
  expect(await query('SELECT FROM inbox_dead_letter')).toEqual([])
})

test('inbox.once: a late claim is no copy; the message is applied when its transaction is tried again', async () => {
  const { late, client } = lateClient(has('written AS', insert))
  const id = randomUUID()
  let claimed: Promise<unknown> | undefined
  const handle = () =>
    client.$transaction(
      (tx) => {
        claimed = inbox.once(tx, { consumer: 'mail', id }, () => effect(tx, 'mail', { id, payload: { name: 'a', n: 1 } }))
        return claimed
      },
      { timeout: handlerTimeoutMs },
    )
  await expect(handle()).rejects.toThrow()
  await late.arrived
  await expect(claimed).rejects.toMatchObject({ code: 'OUTBOX_TRANSACTION_OVER' })
  expect(await query('SELECT FROM inbox')).toEqual([])
  expect(await handle()).toMatchObject({ first: true })
  expect(await handle()).toEqual({ first: false })
  expect(await effects()).toHaveLength(1)
})
