import { randomBytes, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { beforeEach, describe, expect, inject, test } from 'vitest'
import { drain, enqueued } from '../../src/testing/index.ts'
import { PrismaClient } from '../enqueue/generated/client/client.ts'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { emptied } from '../support/eventually.ts'
import { inboxSql } from '../support/migrations.ts'
import { freePort } from '../support/ports.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic } from '../support/topics.ts'

/**
 * CVE-2018-1058: a login that may CREATE in a schema of the search path leaves functions and operators there, which fit our statements
 * better than PostgreSQL's own, and waits until a relay or an administrator runs them.
 */

/** What the attacker leaves behind. `caught` counts that it was run: a sequence, since it stays when the statement is rolled back. */
const shadows: Record<string, (caught: string) => string> = {
  'the function unnest(smallint[])': (
    caught,
  ) => `CREATE FUNCTION public.unnest(smallint[]) RETURNS SETOF smallint LANGUAGE plpgsql AS
    $$ BEGIN PERFORM ${caught}; RETURN QUERY SELECT * FROM pg_catalog.unnest($1); END $$`,
  'the operator *(numeric, integer)': (
    caught,
  ) => `CREATE FUNCTION public.times(numeric, integer) RETURNS numeric LANGUAGE plpgsql AS
      $$ BEGIN PERFORM ${caught}; RETURN $1 OPERATOR(pg_catalog.*) $2::pg_catalog.numeric; END $$;
    CREATE OPERATOR public.* (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = public.times)`,
  'the operator *(integer, interval)': (
    caught,
  ) => `CREATE FUNCTION public.times(integer, interval) RETURNS interval LANGUAGE plpgsql AS
      $$ BEGIN PERFORM ${caught}; RETURN $1::pg_catalog.float8 OPERATOR(pg_catalog.*) $2; END $$;
    CREATE OPERATOR public.* (LEFTARG = integer, RIGHTARG = interval, FUNCTION = public.times)`,
  // PostgreSQL's own fits as well: this one is run only where the path names public first.
  'the function clock_timestamp()': (caught) => `CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS
    $$ BEGIN PERFORM ${caught}; RETURN pg_catalog.clock_timestamp(); END $$`,
}

/** The path of a role where nobody sets one, and one with which every function of PostgreSQL's can be replaced. */
const paths = ['"$user", public', 'public, pg_catalog']

const database = useDatabase('each', inboxSql)
let topic: string
beforeEach(async () => {
  await database.query(readFileSync(new URL('../../ops/grants.sql', import.meta.url), 'utf8'))
  topic = await createTopic('path', 1)
})

/** A login with these rights in the test's database. */
async function login(...grants: string[]): Promise<string> {
  const role = `role_${randomBytes(6).toString('hex')}`
  await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'`)
  for (const grant of grants) await database.query(`GRANT ${grant} TO ${role}`)
  const url = new URL(database.directUrl)
  ;[url.username, url.password] = [role, 'pw']
  return url.href
}

/** Leaves the shadows behind, as a login that may enqueue and create, and gives the database that path. */
async function attack(path: string): Promise<void> {
  const client = new pg.Client(await login('outbox_app', 'CREATE ON SCHEMA public'))
  await client.connect()
  for (const [i, [, shadow]] of Object.entries(shadows).entries()) {
    await database.query(`CREATE SEQUENCE public.caught_${i}; GRANT USAGE ON SEQUENCE public.caught_${i} TO PUBLIC`)
    await client.query(shadow(`pg_catalog.nextval('public.caught_${i}')`))
  }
  await client.end()
  await database.query(`ALTER DATABASE "${new URL(database.directUrl).pathname.slice(1)}" SET search_path = ${path}`)
}

/** Which of the shadows were run so far. */
async function caught(): Promise<string[]> {
  const names = Object.keys(shadows)
  const run = await Promise.all(
    names.map((_, i) => database.query<{ is_called: boolean }>(`SELECT is_called FROM public.caught_${i}`)),
  )
  return names.filter((_, i) => run[i]![0]!.is_called)
}

async function insertDead(): Promise<string> {
  const messageId = randomUUID()
  await database.query(
    `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, key, value, created_at, reason, relay)
     VALUES (0, nextval('outbox_id_seq'), $1, $2, $3, '{}', now(), 'ONE', 'r')`,
    [messageId, topic, randomBytes(4)],
  )
  return messageId
}

const superuser = 'a superuser'

describe('what stands in the path and fits better than what PostgreSQL has', () => {
  test.each([
    ['the relay', paths[0]!],
    [superuser, paths[0]!],
    [superuser, paths[1]!],
  ])('is run by no relay, and no sample of one, as %s with the path %s', async (who, path) => {
    const url = who === superuser ? database.directUrl : await login('outbox_relay', 'pg_read_all_stats')
    await attack(path)
    const port = await freePort()
    const env = { DATABASE_URL: url, KAFKA_BROKERS: inject('brokers'), OUTBOX_LEASE_MS: '3000', OUTBOX_LISTEN: String(port) }
    const relay = startRelayProcess(env)
    await relay.until((line) => line.event === 'leases_taken')
    await insertRows(database.pool, [{ topic, key: 'k' }])
    await insertDead()
    await emptied(database.pool)
    const metrics = async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
    while (!/^outbox_dead_messages\{.*\} 1$/m.test(await metrics())) await sleep(100)
    for (const page of ['', 'messages', 'dead']) expect((await fetch(`http://127.0.0.1:${port}/${page}`)).status).toBe(200)
    // The request of one operator, which a second relay would carry out just as well.
    await database.query("UPDATE outbox_dead_letter SET requested_action = 'redrive'")
    await relay.until((line) => line.event === 'redriven')
    await relay.end('SIGTERM')
    await insertRows(database.pool, [{ topic, key: 'k' }])
    expect(await cli(['relay', '--drain', '--log-level', 'silent'], env)).toMatchObject({ code: 0 })
    expect(await caught()).toEqual([])
  })

  test.each([
    ['an operator', paths[0]!],
    [superuser, paths[0]!],
    [superuser, paths[1]!],
  ])('is run by no command, as %s with the path %s', async (who, path) => {
    const url = who === superuser ? database.directUrl : await login('outbox_operator')
    if (who !== superuser) await database.query('GRANT SELECT ON inbox_dead_letter TO outbox_operator')
    await attack(path)
    const [waiting, dead, dropped] = [randomUUID(), await insertDead(), await insertDead()]
    await insertRows(database.pool, [{ topic, key: 'k', messageId: waiting }])
    const env = { DATABASE_URL: url, KAFKA_BROKERS: inject('brokers') }
    const commands: [string, number][] = [
      ['status', 0],
      ['status --json', 0],
      ['list', 0],
      ['list --dead --older-than 0s', 0],
      [`show ${waiting}`, 0],
      [`show ${dead}`, 0],
      [`where ${waiting}`, 0],
      // A message waits, and no relay is there: a failure.
      ['doctor', 1],
      ['inbox list', 0],
      // No relay is there to answer.
      [`redrive ${dead} --timeout 1`, 1],
      [`discard ${dropped} --yes --timeout 1`, 1],
    ]
    for (const [command, code] of commands) {
      const result = await cli(command.split(' '), env)
      const told = command.includes('--timeout') ? expect.stringContaining('NO_ANSWER') : ''
      expect([command, result.code, result.stderr]).toEqual([command, code, told])
      expect([command, await caught()]).toEqual([command, []])
    }
  })

  test('is run neither by a proof nor by ./testing', async () => {
    await attack(paths[1]!)
    await insertRows(database.pool, [{ topic, key: 'k' }])
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: database.directUrl }) })
    expect(await enqueued(prisma, topic)).toHaveLength(1)
    await prisma.$disconnect()
    expect(await drain({ databaseUrl: database.directUrl })).toMatchObject({ records: [{ topic }] })
    expect(await caught()).toEqual([])
    const proof = await cli(['prove', '--seconds', '5', '--kills', '1'], {
      DATABASE_URL: database.directUrl,
      KAFKA_BROKERS: inject('brokers'),
    })
    expect(proof).toMatchObject({ code: 0 })
    expect(await caught()).toEqual([])
  })
})
