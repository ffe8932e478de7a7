import { randomBytes, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import pg from 'pg'
import { beforeEach, describe, expect, test } from 'vitest'
import { migration } from '../../src/cli/fragment.ts'
import { postgresOperator } from '../../src/store/postgres/operator.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { inboxSql } from '../support/migrations.ts'
import { startedRelay } from '../support/relay.ts'
import { insertRows } from '../support/rows.ts'

const grants = readFileSync(new URL('../../ops/grants.sql', import.meta.url), 'utf8')

const database = useDatabase()
beforeEach(async () => {
  await database.query(grants)
})

async function login(...grants: string[]): Promise<{ role: string; url: string; query(sql: string): Promise<unknown> }> {
  const role = `role_${randomBytes(6).toString('hex')}`
  await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT ${grants} TO ${role}`)
  const url = new URL(database.directUrl)
  ;[url.username, url.password] = [role, 'pw']
  const query = async (sql: string) => {
    const client = new pg.Client(url.href)
    await client.connect()
    try {
      return await client.query(sql)
    } finally {
      await client.end()
    }
  }
  return { role, url: url.href, query }
}

async function insertDead(): Promise<string> {
  const messageId = randomUUID()
  await database.query(
    `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, value, headers, created_at, reason, relay)
     VALUES (7, nextval('outbox_id_seq'), '${messageId}', 't', 'k', 'S3cret', '{"tenant": "S3cret"}', now(), 'ONE', 'r')`,
  )
  return messageId
}
const author = async (messageId: string) =>
  (
    await database.query<{ by: string | null }>('SELECT requested_by AS by FROM outbox_dead_letter WHERE message_id = $1', [
      messageId,
    ])
  )[0]!.by

describe('who asked is who the database knows', () => {
  test('beside the name that the command gives, and so it stands in the log of the relay', async () => {
    const operator = await login('outbox_operator')
    const messageId = await insertDead()
    await cli(['redrive', messageId, '--timeout', '1'], { DATABASE_URL: operator.url })
    expect(await author(messageId)).toMatch(new RegExp(`^${operator.role} \\(.+@.+\\)$`))
    await using one = await startedRelay(database.url, memoryTransport())
    expect((await one.until('redriven')).by).toMatch(new RegExp(`^${operator.role} \\(`))
  })

  test.each([
    ['its column', "UPDATE outbox_dead_letter SET requested_action = 'discard', requested_by = 'ceo@headquarters'"],
    ['its column alone', "UPDATE outbox_dead_letter SET requested_by = 'ceo@headquarters'"],
  ])('an operator may not write %s', async (_, sql) => {
    await insertDead()
    await expect((await login('outbox_operator')).query(sql)).rejects.toMatchObject({ code: '42501' })
  })

  test.each([
    ['no name', '', ''],
    ['the name of another', "SET outbox.requested_by = 'postgres'; ", ' (postgres)'],
    ['the role of another', 'SET ROLE outbox_operator; ', ''],
  ])('by SQL of its own with %s an operator stays who it is', async (_, before, name) => {
    const messageId = await insertDead()
    const operator = await login('outbox_operator')
    await operator.query(`${before}UPDATE outbox_dead_letter SET requested_action = 'discard'`)
    expect(await author(messageId)).toBe(`${operator.role}${name}`)
    // Another who asks for something else is the author from then on.
    const second = await login('outbox_operator')
    await second.query("UPDATE outbox_dead_letter SET requested_action = 'redrive'")
    expect(await author(messageId)).toBe(second.role)
  })

  test('a relay that carries a request on, portion by portion or from a head that was dropped, keeps its author', async () => {
    const operator = await login('outbox_operator')
    const head = await insertDead()
    await insertDead()
    await operator.query(`UPDATE outbox_dead_letter SET requested_action = 'discard' WHERE message_id = '${head}'`)
    await using one = await startedRelay((await login('outbox_relay')).url, memoryTransport())
    expect(await one.until('discarded')).toMatchObject({ messageId: head, by: operator.role })
    expect(await one.until('redriven')).toMatchObject({ rows: 1, by: operator.role })
    await emptied(database.pool)
    expect(await database.query('SELECT 1 FROM outbox_dead_letter')).toEqual([])
  })

  test('in tables without the trigger the command writes both, for a role that may', async () => {
    await database.query('DROP TRIGGER outbox_dead_letter_request ON outbox_dead_letter')
    const messageId = await insertDead()
    await cli(['redrive', messageId, '--timeout', '1'], { DATABASE_URL: database.directUrl })
    expect(await author(messageId)).toMatch(/^postgres \(.+@.+\)$/)
  })
})

describe('who asked a consumer', () => {
  beforeEach(() => database.query(`${inboxSql}; ${grants}`))

  async function deadLetter(key = 'k'): Promise<string> {
    const id = randomUUID()
    await database.query(
      `INSERT INTO inbox_dead_letter (consumer, identity, topic, partition, "offset", message_id, key, value, headers, reason)
       VALUES ('mail', '${id}', 't', 0, 1, '${id}', '${key}', 'S3cret', '{"tenant": "S3cret"}', 'ONE')`,
    )
    return id
  }
  const asked = async (id: string) =>
    (
      await database.query<{ by: string | null }>('SELECT requested_by AS by FROM inbox_dead_letter WHERE identity = $1', [id])
    )[0]!.by

  test('is who the database knows, beside the name that the command gives', async () => {
    const operator = await login('outbox_operator')
    const id = await deadLetter()
    const env = { DATABASE_URL: operator.url }
    expect(await cli(['inbox', 'list'], env)).toMatchObject({ code: 0, stdout: expect.stringContaining(id) })
    await cli(['inbox', 'redrive', id, '--timeout', '1'], env)
    expect(await asked(id)).toMatch(new RegExp(`^${operator.role} \\(.+@.+\\)$`))
  })

  test.each([
    ["UPDATE inbox_dead_letter SET requested_action = 'discard', requested_by = 'ceo@headquarters'"],
    ["UPDATE inbox_dead_letter SET requested_by = 'ceo@headquarters'"],
    ['SELECT value FROM inbox_dead_letter'],
    ['DELETE FROM inbox_dead_letter'],
  ])('an operator may not: %s', async (sql) => {
    await deadLetter()
    await expect((await login('outbox_operator')).query(sql)).rejects.toMatchObject({ code: '42501' })
  })

  test.each([
    ['no name', '', ''],
    ['the name of another', "SET outbox.requested_by = 'postgres'; ", ' (postgres)'],
    ['the role of another', 'SET ROLE outbox_operator; ', ''],
  ])('by SQL of its own with %s an operator stays who it is', async (_, before, name) => {
    const id = await deadLetter()
    const [first, second] = [await login('outbox_operator'), await login('outbox_operator')]
    await first.query(`${before}UPDATE inbox_dead_letter SET requested_action = 'discard'`)
    expect(await asked(id)).toBe(`${first.role}${name}`)
    await second.query("UPDATE inbox_dead_letter SET requested_action = 'redrive'")
    expect(await asked(id)).toBe(second.role)
  })

  test('a consumer that carries a request on names its author', async () => {
    const id = await deadLetter()
    await database.query("UPDATE inbox_dead_letter SET requested_action = 'redrive', requested_by = 'ada (ada@laptop)'")
    expect(await asked(id)).toBe('ada (ada@laptop)')
  })

  test('in tables without the trigger the command writes both, for a role that may', async () => {
    await database.query('DROP TRIGGER inbox_dead_letter_request ON inbox_dead_letter')
    const id = await deadLetter()
    await cli(['inbox', 'redrive', id, '--timeout', '1'], { DATABASE_URL: database.directUrl })
    expect(await asked(id)).toMatch(/^postgres \(.+@.+\)$/)
  })

  test('and in a schema with a name of its own', async () => {
    await database.query(migration({ schema: 'Shop' }, 'inbox'))
    await database.query(
      `INSERT INTO "Shop".inbox_dead_letter (consumer, identity, topic, partition, "offset", headers, reason)
       VALUES ('mail', gen_random_uuid(), 't', 0, 1, '{}', 'ONE')`,
    )
    await cli(['inbox', 'redrive', '--all', '--timeout', '1', '--schema', 'Shop'], { DATABASE_URL: database.directUrl })
    const [row] = await database.query<{ by: string }>('SELECT requested_by AS by FROM "Shop".inbox_dead_letter')
    expect(row!.by).toMatch(/^postgres \(.+@.+\)$/)
  })
})

describe('what messages say needs a right of its own', () => {
  test('an operator without it sees all but payload, headers and size, and is told what it lacks', async () => {
    const { url, query } = await login('outbox_operator')
    const dead = await insertDead()
    const waiting = randomUUID()
    await insertRows(database.pool, [
      { topic: 't', key: 'k', value: 'S3cret', messageId: waiting, headers: { tenant: 'S3cret' } },
    ])
    const env = { DATABASE_URL: url }
    for (const args of [['list'], ['list', '--dead'], ['list', '--topic', 't', '--json'], ['status']]) {
      expect(await cli(args, env)).toMatchObject({ code: 0, stderr: '' })
    }
    for (const id of [dead, waiting]) {
      const shown = await cli(['show', id], env)
      expect(shown).toMatchObject({ code: 0, stdout: expect.stringContaining(id) })
      expect(shown.stdout).not.toMatch(/tenant|Size/)
      const payload = await cli(['show', id, '--payload'], env)
      expect(payload).toMatchObject({ stdout: '', stderr: expect.stringContaining('outbox_payload') })
    }
    for (const sql of [
      'SELECT value FROM outbox',
      'SELECT * FROM outbox_dead_letter',
      'SELECT o FROM outbox AS o',
      'TABLE outbox',
    ]) {
      await expect(query(sql)).rejects.toMatchObject({ code: '42501' })
    }
  })

  test('with it, it sees them', async () => {
    const { url } = await login('outbox_operator', 'outbox_payload')
    const dead = await insertDead()
    const { stdout } = await cli(['show', dead, '--payload'], { DATABASE_URL: url })
    expect(stdout).toMatch(/Size +\d+ bytes/)
    expect(stdout).toMatch(/Headers .*S3cret[\s\S]*Payload +S3cret/)
  })

  test('it alone shows nothing else, and an operator may choose and ask without it', async () => {
    const messageId = await insertDead()
    const alone = await login('outbox_payload')
    await expect(alone.query('SELECT topic FROM outbox_dead_letter')).rejects.toMatchObject({ code: '42501' })
    const operator = await postgresOperator({ databaseUrl: (await login('outbox_operator')).url })
    const chosen = await operator.choose({ messageIds: [messageId], limit: 5 }, 'redrive')
    expect(chosen).toMatchObject([{ messageId, bytes: null }])
    await operator.request(chosen, 'redrive', 'ada@laptop')
    expect(await operator.unanswered(chosen, 'redrive')).toHaveLength(1)
    operator.close()
  })
})
