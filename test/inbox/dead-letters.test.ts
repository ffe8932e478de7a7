import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createStage, effect, record, start, type Tx, useMail } from './stage.ts'
import { raw, versionsFor } from './versions.ts'

describe.each(versionsFor('deadLetters'))('$name', (version) => {
  const { startMail, query, url, effects, numbers } = useMail(version)

  const deadLettered = () =>
    query<{ n: number | null; reason: string | null; attempts: number; error: string | null }>(
      `SELECT substring(convert_from(value, 'UTF8') from '"n":(\\d+)')::int AS n, reason, attempts, error
       FROM inbox_dead_letter ORDER BY arrival`,
    )

  const poisonous = (isPoison: () => boolean) => ({
    deadLetter: { after: 3 },
    handlers: {
      Counted: async (event: { id: string; payload: { name: string; n: number } }, tx: Tx) => {
        if (event.payload.name === 'poison' && event.payload.n === 1 && isPoison()) throw new Error('cannot be done')
        await effect(tx, 'mail', event)
      },
    },
  })

  test('a message is put aside after so many tries, those of its key behind it, and other keys go on', async () => {
    const stage = await createStage(1)
    const id = randomUUID()
    await stage.send([
      record('poison', 1, { id }),
      record('fine', 1),
      record('poison', 2),
      record('poison', 1, { id }),
      record('fine', 2),
    ])
    const { times, all } = startMail(
      stage,
      poisonous(() => true),
    )
    await times('applied', 2, ({ messages }) => messages === 1)
    expect(await deadLettered()).toMatchObject([
      { n: 1, reason: 'HANDLER_FAILED', attempts: 3, error: 'cannot be done' },
      { n: 2, reason: null, attempts: 0 },
    ])
    expect(await numbers('fine')).toEqual([1, 2])
    expect(await numbers('poison')).toEqual([])
    expect(all('apply_failed')).toHaveLength(2)
  })

  test('one that another member dead-letters while this one is at work: its handler has no effect here, and the next of its key goes behind it', async () => {
    const stage = await createStage(1)
    const id = randomUUID()
    await stage.send([record('first', 1), record('poison', 1, { id }), record('poison', 2)])
    const called: string[] = []
    const { until } = startMail(stage, {
      handlers: {
        Counted: async (event, tx) => {
          const { name, n } = event.payload
          called.push(`${name} ${n}`)
          await effect(tx, 'mail', event)
          if (name !== 'first') return
          // All three were looked up by now, and nothing was known of them.
          await query(`INSERT INTO inbox (consumer, message_id) VALUES ('mail', $1)`, [id])
          await query(
            `INSERT INTO inbox_dead_letter (consumer, identity, topic, partition, "offset", message_id, type, key, value, headers, reason)
             VALUES ('mail', $2, $1, 0, 1, $2, 'Counted', 'poison', '{"name":"poison","n":1}', '{}', 'HANDLER_FAILED')`,
            [stage.topic, id],
          )
        },
      },
    })
    await until('blocked')
    expect(called).toEqual(['first 1', 'poison 1'])
    expect(await effects()).toEqual([{ name: 'first', n: 1 }])
    expect(await deadLettered()).toMatchObject([
      { n: 1, reason: 'HANDLER_FAILED' },
      { n: 2, reason: null },
    ])
  })

  test('a request to redrive applies the messages of the key in order; one that comes meanwhile goes behind, and nothing stays', async () => {
    const stage = await createStage(1)
    let poison = true
    await stage.send([1, 2, 3].map((n) => record('poison', n)))
    const { until, times } = startMail(
      stage,
      poisonous(() => poison),
    )
    await times('blocked', 2)
    await query(`UPDATE inbox_dead_letter SET requested_action = 'redrive', requested_by = 'ann@desk' WHERE reason IS NOT NULL`)
    expect(await until('request_failed')).toMatchObject({ offset: '0', code: 'Error' })
    expect(await deadLettered()).toMatchObject([{ n: 1, attempts: 4 }, { n: 2 }, { n: 3 }])
    poison = false
    await query(`UPDATE inbox_dead_letter SET requested_action = 'redrive', requested_by = 'ann@desk'`)
    await stage.send([4, 5].map((n) => record('poison', n)))
    expect(await until('redriven')).toMatchObject({ by: 'ann@desk' })
    await expect.poll(() => numbers('poison'), { timeout: 10_000 }).toEqual([1, 2, 3, 4, 5])
    expect(await deadLettered()).toEqual([])
    expect(await query('SELECT FROM inbox')).toHaveLength(5)
  })

  test('a request to discard drops the message for good, copies of it too, and those behind it are applied', async () => {
    const stage = await createStage(1)
    const id = randomUUID()
    await stage.send([record('poison', 1, { id }), record('poison', 2), record('poison', 3)])
    const { until, times } = startMail(
      stage,
      poisonous(() => true),
    )
    await times('blocked', 2)
    await query(`UPDATE inbox_dead_letter SET requested_action = 'discard' WHERE reason IS NOT NULL`)
    expect(await until('redriven')).toMatchObject({ messages: 2 })
    await stage.send([record('poison', 1, { id }), record('poison', 4)])
    await expect.poll(() => numbers('poison'), { timeout: 10_000 }).toEqual([2, 3, 4])
    expect(await deadLettered()).toEqual([])
  })

  test('a redrive that comes upon a message of its key that is to be dropped drops it, and goes on with those behind it', async () => {
    const stage = await createStage(1)
    await stage.send([1, 2, 3].map((n) => record('poison', n)))
    let isPoison = true
    const { until, times, all } = startMail(
      stage,
      poisonous(() => isPoison),
    )
    await times('blocked', 2)
    isPoison = false
    // In one statement: anyone who searches for requests finds both.
    await query(
      `UPDATE inbox_dead_letter SET requested_action = CASE WHEN reason IS NULL THEN 'discard' ELSE 'redrive' END, requested_by = 'somebody'
       WHERE reason IS NOT NULL OR convert_from(value, 'UTF8') LIKE '%"n":2%'`,
    )
    expect(await until('redriven')).toMatchObject({ messages: 2 })
    expect(await numbers('poison')).toEqual([1, 3])
    expect(all('discarded')).toMatchObject([{ by: 'somebody' }])
    expect(await deadLettered()).toEqual([])
  })

  test.each([
    ['without an id', { headers: { type: 'Counted' } }, 'INVALID_ID'],
    ['that is no JSON', { value: 'no JSON' }, 'INVALID_JSON'],
    ['that does not fit its schema', { value: '{"name":"a"}' }, 'INVALID_PAYLOAD'],
    ['of a newer version that does not fit', { version: '9', value: '{"who":"a"}' }, 'NEWER_VERSION'],
  ])('a record %s is put aside at once, and the next of another key is applied', async (_, broken, reason) => {
    const stage = await createStage(1)
    await stage.send([record('a', 1, broken), record('a', 2), record('b', 3)])
    const { until } = startMail(stage)
    await until('applied', ({ messages }) => messages === 1)
    expect((await deadLettered()).map((row) => row.reason)).toEqual([reason, null])
    expect(await effects()).toMatchObject([{ name: 'b', n: 3 }])
  })

  test('troubles of the database do not count towards it', async () => {
    const stage = await createStage(1)
    await stage.send([record('a', 1)])
    let tries = 0
    const { until, all } = startMail(stage, {
      deadLetter: { after: 2 },
      handlers: {
        Counted: async (event, tx) => {
          if (++tries <= 4) await raw(tx).execute`SELECT pg_terminate_backend(pg_backend_pid())`
          await effect(tx, 'mail', event)
        },
      },
    })
    await until('applied')
    expect(all('apply_failed')).toMatchObject(Array(4).fill({ attempt: 0 }))
    expect(await numbers('a')).toEqual([1])
    expect(await deadLettered()).toEqual([])
  })

  test('a role with the rights of the page, and no others, can apply, dead-letter, put behind, redrive and prune', async () => {
    const role = `consumer_${randomUUID().slice(0, 8)}`
    const page = readFileSync(new URL('../../docs/consumers.md', import.meta.url), 'utf8')
    const grants = page.match(/```sql\n(GRANT USAGE[\s\S]*?)```/)![1]!.replaceAll('my_consumer', role)
    await query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'`)
    await query(grants)
    await query(`GRANT INSERT ON effects TO ${role}; GRANT USAGE ON SEQUENCE effects_seq_seq TO ${role}`)
    const ownUrl = new URL(url())
    ;[ownUrl.username, ownUrl.password] = [role, 'pw']
    const own = version.connect(ownUrl.href)
    onTestFinished(async () => {
      await own.$disconnect()
      await query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
    })
    const stage = await createStage(1)
    await query(`INSERT INTO inbox VALUES ('mail', gen_random_uuid(), '2020-01-01')`)
    let poison = true
    await stage.send([record('poison', 1), record('fine', 1), record('poison', 2)])
    const { until } = start(
      stage,
      own,
      'mail',
      poisonous(() => poison),
    )
    await until('inbox_pruned')
    await until('blocked')
    poison = false
    await query(`UPDATE inbox_dead_letter SET requested_action = 'redrive' WHERE reason IS NOT NULL`)
    await until('redriven')
    expect(await effects()).toEqual([
      { name: 'fine', n: 1 },
      { name: 'poison', n: 1 },
      { name: 'poison', n: 2 },
    ])
  })
})
