import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { cli } from '../support/cli.ts'
import { createDatabase } from '../support/database.ts'
import { createStage, effect, record, useMail } from './stage.ts'

const { startMail, query, url, numbers } = useMail()

const deadLettered = (...args: string[]) => cli(['inbox', ...args], { DATABASE_URL: url() })

test('from the command line: a poison message is listed, fails again while it is poison, and is applied in order when it is not', async () => {
  const stage = await createStage(1)
  const id = randomUUID()
  let poison = true
  await stage.send([record('poison', 1, { id }), record('poison', 2), record('poison', 3)])
  const { until, times } = startMail(stage, {
    deadLetter: { after: 1 },
    handlers: {
      Counted: async (event, tx) => {
        if (poison && event.payload.n === 1) throw new Error('cannot be done')
        await effect(tx, 'mail', event)
      },
    },
  })
  await times('blocked', 2)

  const list = await deadLettered('list', '--consumer', 'mail')
  expect(list.code).toBe(0)
  expect(list.stdout.trim().split('\n')).toHaveLength(4)
  expect(list.stdout).toMatch(new RegExp(`${id} +HANDLER_FAILED +mail +${stage.topic}/0@0 +poison +1 .+ cannot be done$`, 'm'))
  expect(list.stdout).not.toContain('"n":1')

  const again = await deadLettered('redrive', id)
  expect(again.stdout).toContain('Applied: 0 messages, with those behind.\nDead again: 1 message (1 HANDLER_FAILED).\n')
  expect(again.stdout.trim().split('\n').at(-1)).toMatch(new RegExp(`^${id} .* cannot be done$`))
  expect(again.code).toBe(1)
  expect(await numbers()).toEqual([])

  poison = false
  const done = await deadLettered('redrive', '--consumer', 'mail')
  expect(done.stdout).toContain('Applied: 1 message, with those behind.')
  expect(done.stdout).not.toContain('Dead again')
  expect(done.code).toBe(0)
  await until('redriven', ({ messages, by }) => messages === 3 && by !== null)
  expect(await numbers()).toEqual([1, 2, 3])
  expect((await deadLettered('list')).stdout).toBe('No messages.\n')
})

test('redrive applies a key in the order of arrival, also from 9 to 10, and the command ends when all of it is applied', async () => {
  const stage = await createStage(1)
  const id = randomUUID()
  const all = Array.from({ length: 15 }, (_, i) => i + 1)
  await stage.send([record('poison', 1, { id }), ...all.slice(1).map((n) => record('poison', n))])
  let poison = true
  const { times } = startMail(stage, {
    deadLetter: { after: 1 },
    handlers: {
      Counted: async (event, tx) => {
        if (poison) throw new Error('cannot be done')
        // The command searches for an answer more often than these are applied.
        await tx.$executeRaw`SELECT pg_sleep(0.4)`
        await effect(tx, 'mail', event as never)
      },
    },
  })
  await times('blocked', 14)
  poison = false
  // Less time than the whole takes: each message that is applied is a sign that somebody is at work.
  const { code, stderr } = await deadLettered('redrive', id, '--timeout', '4')
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(await numbers()).toEqual(all)
  expect(await query('SELECT FROM inbox_dead_letter')).toEqual([])
})

test('a member that dies in the middle of a redrive leaves the request to another', async () => {
  const stage = await createStage(1)
  await stage.send([1, 2, 3, 4].map((n) => record('poison', n, n === 1 ? { value: 'no JSON' } : {})))
  const first = startMail(stage)
  await first.times('blocked', 3)
  await first.inbox.stop()
  // What a death between two transactions of a redrive leaves: the first is gone, and nobody else knows of the rest.
  await query(
    `UPDATE inbox_dead_letter SET value = '{"name":"poison","n":1}', requested_action = 'redrive', requested_by = 'me' WHERE "offset" = 0`,
  )
  await query(`CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'gone' USING ERRCODE = '57P01'; END $$;
    CREATE TRIGGER die BEFORE INSERT ON effects FOR EACH ROW WHEN (NEW.n = 2) EXECUTE FUNCTION die()`)
  const dying = startMail(stage)
  await dying.until('upkeep_failed')
  await dying.inbox.stop()
  await query('DROP FUNCTION die CASCADE')
  expect(await numbers()).toEqual([1])

  const { until } = startMail(stage)
  await until('redriven', ({ messages, by }) => messages === 3 && by === 'me')
  expect(await numbers()).toEqual([1, 2, 3, 4])
})

test('discard asks, and drops for good: those behind are applied', async () => {
  const stage = await createStage(1)
  await stage.send([record('poison', 1, { value: 'no JSON' }), record('poison', 2)])
  const { until } = startMail(stage)
  await until('blocked')
  const asked = await deadLettered('discard', '--reason', 'INVALID_JSON')
  expect(asked.code).toBe(2)
  expect(asked.stderr).toContain('--yes')
  const dropped = await deadLettered('discard', '--reason', 'INVALID_JSON', '--yes', '--json')
  expect(JSON.parse(dropped.stdout)).toMatchObject({
    action: 'discard',
    done: true,
    stillDead: 0,
    messages: [{ reason: 'INVALID_JSON' }],
  })
  await until('redriven')
  expect(await numbers()).toEqual([2])
})

test('without a consumer the request stands, and the command says so', async () => {
  await query(
    `INSERT INTO inbox_dead_letter (consumer, identity, topic, "partition", "offset", headers, reason)
     VALUES ('mail', gen_random_uuid(), 't', 0, 7, '{}', 'X')`,
  )
  const { code, stderr } = await deadLettered('redrive', '--all', '--timeout', '1')
  expect(code).toBe(1)
  expect(stderr).toContain('OUTBOX_NO_ANSWER')
  expect(await query('SELECT requested_action FROM inbox_dead_letter')).toEqual([{ requested_action: 'redrive' }])
})

test.each([
  ['nothing to choose by', ['redrive'], 2, 'OUTBOX_INVALID_OPTION'],
  ['a part that it has not', ['drop'], 2, 'OUTBOX_INVALID_OPTION'],
  ['a message that is not dead-lettered', ['redrive', randomUUID()], 1, 'OUTBOX_NOT_FOUND'],
])('%s is refused', async (_, args, expected, named) => {
  const { code, stderr } = await deadLettered(...args)
  expect({ code, named: stderr.includes(named) }).toEqual({ code: expected, named: true })
})

test('a database without the tables says which command brings them', async () => {
  await using bare = await createDatabase()
  const { code, stderr } = await cli(['inbox', 'list'], { DATABASE_URL: bare.url })
  expect(code).toBe(2)
  expect(stderr).toContain('init --inbox')
})
