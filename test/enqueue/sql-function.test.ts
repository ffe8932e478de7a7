import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import pg from 'pg'
import { beforeAll, describe, expect, test } from 'vitest'
import { migration } from '../../src/cli/fragment.ts'
import { maxHeaders } from '../../src/message/headers.ts'
import { createdAtOf } from '../../src/message/id.ts'
import { bucketOf, murmur2 } from '../../src/message/key.ts'
import { defaultMaxBytes, encodeMessage, type Message } from '../../src/message/message.ts'
import { refusal } from '../message/refusal.ts'
import { useDatabase } from '../support/database.ts'

// The SQL functions beside `enqueue`: what they write is what it writes, and what they refuse is what it refuses.

const database = useDatabase('all')

const call = 'SELECT outbox_enqueue($1, $2, $3, $4, $5) AS id'
const callBytes = 'SELECT outbox_enqueue_bytes($1, $2, $3, $4, $5) AS id'

/** Enqueues by the function that takes such a payload. */
async function bySql({ topic, key = null, payload, headers, type }: Message): Promise<string> {
  const bytes = payload instanceof Uint8Array
  const value = bytes || payload === null ? payload : JSON.stringify(payload)
  const values = [topic, key, value, headers === undefined ? null : JSON.stringify(headers), type ?? null]
  return (await database.query<{ id: string }>(bytes ? callBytes : call, values))[0]!.id
}

const rowOf = async (id: string) =>
  (
    await database.query(
      'SELECT bucket, message_id AS "messageId", topic, type, key, value, headers FROM outbox WHERE message_id = $1',
      [id],
    )
  )[0]!

describe('the bucket', () => {
  // org.apache.kafka.common.utils.UtilsTest.testMurmur2
  test.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ])('of %s is that of the hash that Java computes', async (text, hash) => {
    const [row] = await database.query('SELECT outbox_bucket($1) AS bucket', [Buffer.from(text)])
    expect(row).toEqual({ bucket: (hash & 0x7fffffff) % 64 })
  })

  test('of any bytes is that of enqueue', async () => {
    const keys = fc.sample(fc.uint8Array({ maxLength: 70 }), 1_000).map((key) => Buffer.from(key))
    const rows = await database.query<{ bucket: number }>(
      'SELECT outbox_bucket(key) AS bucket FROM unnest($1::bytea[]) WITH ORDINALITY AS k (key, place) ORDER BY place',
      [keys],
    )
    expect(rows.map(({ bucket }) => bucket)).toEqual(keys.map((key) => (murmur2(key) & 0x7fffffff) % 64))
  })
})

describe('a message', () => {
  test.each<[string, Message]>([
    ['with a key', { topic: 'orders', key: 'Zoë', payload: { total: 1990, name: 'Zoë' } }],
    ['without a key', { topic: 'orders', payload: [1, 2] }],
    ['with an empty key', { topic: 'orders', key: '', payload: 'text' }],
    ['with headers and a type', { topic: 'orders', key: 'k', payload: 1, headers: { tenant: 'acme', '': 'x' } }],
    ['with a type', { topic: 'orders', key: 'k', payload: true, headers: { tenant: 'acme' }, type: 'order.placed' }],
    ['of bytes', { topic: 'orders', key: 'k', payload: new Uint8Array([0, 255, 92]), headers: { tenant: 'acme' } }],
    ['of no bytes', { topic: 'orders', key: 'k', payload: new Uint8Array() }],
    ['that is a tombstone', { topic: 'orders', key: 'k', payload: null }],
  ])('%s becomes the row that enqueue writes', async (_, message) => {
    const { '': _empty, ...headers } = message.headers ?? {}
    const given = { ...message, ...(message.headers && { headers }) }
    const { value, headers: written, ...same } = await rowOf(await bySql(given))
    const ours = encodeMessage(given)
    expect(same).toEqual({ ...row(ours), messageId: same.messageId })
    expect(written).toEqual(ours.headers === null ? null : JSON.parse(ours.headers))
    if (given.payload instanceof Uint8Array || given.payload === null) expect(value).toEqual(bytesOf(ours.value))
    else expect(JSON.parse(String(value))).toEqual(given.payload)
  })

  const bytesOf = (bytes: Uint8Array | null) => bytes && Buffer.from(bytes)
  const row = ({ bucket, topic, type, key }: ReturnType<typeof encodeMessage>) => ({ bucket, topic, type, key: bytesOf(key) })

  test('stores the text of the jsonb, and JSON null as JSON', async () => {
    const [{ a, b }] = (await database.query(
      `SELECT outbox_enqueue('t', 'k', '{"b":1, "a":  [1,2]}') AS a, outbox_enqueue('t', NULL, 'null', 'null') AS b`,
    )) as [{ a: string; b: string }]
    expect(await rowOf(a)).toMatchObject({ value: Buffer.from('{"a": [1, 2], "b": 1}') })
    expect(await rowOf(b)).toMatchObject({ value: Buffer.from('null'), headers: null, bucket: bucketOf('t', null) })
  })

  test('has a UUID version 7 of the present millisecond', async () => {
    const [row] = await database.query<{ id: string; now: number }>(
      `SELECT outbox_enqueue('t', 'k', '{}') AS id, extract(epoch FROM clock_timestamp())::float8 * 1000 AS now`,
    )
    expect(row!.id).toMatch(/^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/)
    expect(Math.abs(createdAtOf(row!.id)! - row!.now)).toBeLessThan(1_000)
  })

  test('takes arguments by name, and literals and NULL without a cast', async () => {
    const [row] = await database.query(
      `SELECT outbox_enqueue(topic => 't', key => NULL, payload => '{}', type => 'x') IS NOT NULL AS one,
        outbox_enqueue('t', 'k', NULL) IS NOT NULL AS two, outbox_enqueue_bytes('t', 'k', NULL) IS NOT NULL AS three`,
    )
    expect(row).toEqual({ one: true, two: true, three: true })
  })
})

describe('a refusal', () => {
  const headersOf = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, n) => [`h${n}`, '']))

  test.each<[string, Partial<Record<keyof Message, unknown>>]>([
    ['an empty topic', { topic: '' }],
    ['a topic of a folder', { topic: '..' }],
    ['a long topic', { topic: 'a'.repeat(250) }],
    ['a topic with a line feed', { topic: 'a\n' }],
    ['no topic', { topic: null }],
    ['an empty type', { type: '' }],
    ['a tombstone without a key', { key: null, payload: null }],
    ['headers in an array', { headers: ['a'] }],
    ['headers that are a text', { headers: 'S3cret' }],
    ['a header without a name', { headers: { '': 'S3cret' } }],
    ['a reserved header', { headers: { a: 'S3cret', 'Content-Type': 'S3cret' } }],
    ['a header that is a number', { headers: { a: 'S3cret', b: 1 } }],
    ['a header that is null', { headers: { a: null } }],
    ['too many headers', { headers: headersOf(maxHeaders + 1) }],
    ['a large message', { payload: new Uint8Array(defaultMaxBytes) }],
    ['a large header', { headers: { a: 'ä'.repeat(defaultMaxBytes / 2) } }],
  ])('of %s has the code of enqueue and names no value', async (_, wrong) => {
    const message = { topic: 't', key: 'k', payload: {}, ...wrong } as Message
    const error = await bySql(message).then(
      () => undefined,
      (error: pg.DatabaseError) => error,
    )
    const { code, field } = refusal(() => encodeMessage(message))
    expect(error?.message).toMatch(new RegExp(`\\[${code}\\]$`))
    if (code !== 'OUTBOX_MESSAGE_TOO_LARGE') expect(error!.message.startsWith(`${field} `)).toBe(true)
    expect(error).toMatchObject({ code: '22023', hint: expect.stringMatching(/\.$/) })
    expect(`${error!.message} ${error!.detail} ${error!.hint}`).not.toContain('S3cret')
  })

  test('does not meet the largest message, nor as many headers as enqueue takes', async () => {
    const largest = { topic: 't', key: 'k', payload: new Uint8Array(defaultMaxBytes - 3), headers: { a: 'b' } }
    encodeMessage(largest)
    expect(await bySql(largest)).toBeDefined()
    expect(await bySql({ topic: 't', key: 'k', payload: {}, headers: headersOf(maxHeaders) })).toBeDefined()
  })
})

describe('rights', () => {
  let login: pg.ClientConfig
  beforeAll(async () => {
    const role = `role_${randomBytes(6).toString('hex')}`
    // As a hardened database has it.
    await database.query(`REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC; CREATE ROLE ${role} LOGIN PASSWORD 'pw'`)
    await database.query(readFileSync(new URL('../../ops/grants.sql', import.meta.url), 'utf8'))
    await database.query(`GRANT outbox_app TO ${role}`)
    login = { connectionString: Object.assign(new URL(database.directUrl), { username: role, password: 'pw' }).href }
  })

  async function asApp<T>(run: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client(login)
    await client.connect()
    return await run(client).finally(() => client.end())
  }

  test('of outbox_app suffice, and nothing else enqueues', async () => {
    await asApp((client) => client.query(`SELECT outbox_enqueue('t', 'k', '{}'), outbox_enqueue_bytes('t', 'k', '\\x00')`))
    await database.query('REVOKE INSERT ON outbox FROM outbox_app')
    await database.query('REVOKE INSERT (bucket) ON outbox FROM outbox_app')
    await expect(asApp((client) => client.query(`SELECT outbox_enqueue('t', 'k', '{}')`))).rejects.toMatchObject({
      code: '42501',
    })
  })

  test.each(['public, pg_catalog', 'pg_temp, nowhere'])(
    'a path of %s finds neither other functions nor another table',
    async (path) => {
      await database.query(`CREATE SEQUENCE IF NOT EXISTS caught;
      CREATE OR REPLACE FUNCTION public.get_byte(bytea, integer) RETURNS integer LANGUAGE plpgsql AS
        $$ BEGIN PERFORM nextval('public.caught'); RETURN 0; END $$;
      CREATE OR REPLACE FUNCTION public.jsonb_typeof(jsonb) RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN PERFORM nextval('public.caught'); RETURN 'object'; END $$`)
      const client = await database.pool.connect()
      await client.query(`BEGIN; CREATE TEMP TABLE outbox (LIKE public.outbox) ON COMMIT DROP; SET LOCAL search_path = ${path}`)
      const { rows } = await client.query(`SELECT public.outbox_enqueue('t', 'k', '{}') AS id`)
      await client.query('COMMIT')
      client.release()
      expect(await rowOf(rows[0].id)).toMatchObject({ topic: 't', bucket: bucketOf('t', Buffer.from('k')) })
      expect(await database.query('SELECT is_called FROM caught')).toEqual([{ is_called: false }])
    },
  )
})

describe('tables elsewhere', () => {
  test.each([
    ['with a prefix', { tablePrefix: 'p_' }, 'public', 'p_'],
    ['in a schema', { schema: 'shop' }, 'shop', ''],
    ['in a schema with a prefix', { schema: 'shop', tablePrefix: `${'p'.repeat(29)}_` }, 'shop', `${'p'.repeat(29)}_`],
  ])('%s have functions of their own', async (_, naming, schema, prefix) => {
    const name = (table: string) => `"${schema}"."${prefix}${table}"`
    await database.query(migration(naming))
    const [row] = await database.query(`SELECT ${name('outbox_enqueue')}('t', 'k', '{}') AS id`)
    const found = await database.query(`SELECT message_id AS id FROM ${name('outbox')}`)
    expect(found).toEqual([row])
  })

  test('in the schema of the connection', async () => {
    const client = await database.pool.connect()
    await client.query(`CREATE SCHEMA "My ""shop"; SET search_path = "My ""shop"`)
    await client.query(migration())
    await client.query('RESET search_path')
    const { rows } = await client.query(`SELECT "My ""shop".outbox_enqueue('t', 'k', '{}') AS id`)
    expect((await client.query(`SELECT message_id AS id FROM "My ""shop".outbox`)).rows).toEqual(rows)
    client.release()
  })
})
