import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { beforeAll, expect, test } from 'vitest'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { inboxSql } from '../support/migrations.ts'
import { codeBlocks, pageOf, section } from '../support/readme.ts'

const messageId = '0197f3a0-0000-7000-8000-000000000001'
const database = useDatabase('all', inboxSql)
let operatorUrl: string

beforeAll(async () => {
  await database.query(readFileSync(new URL('../../ops/grants.sql', import.meta.url), 'utf8'))
  const role = `role_${randomBytes(6).toString('hex')}`
  const blocks = codeBlocks(section('## Tables', pageOf('docs/consumers.md')))
  for (const { language, code } of blocks)
    if (language === 'sql') await database.query(code.replaceAll('my_consumer', 'outbox_app'))
  await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT outbox_operator TO ${role}`)
  const url = new URL(database.directUrl)
  ;[url.username, url.password] = [role, 'pw']
  operatorUrl = url.href
  await database.query(`INSERT INTO inbox_dead_letter (consumer, identity, topic, partition, "offset", value, headers, reason)
    VALUES ('mail', '${messageId}', 'orders', 0, 7, 'S3cret', '{}', 'HANDLER_FAILED')`)
})

const deadLettered = (...args: string[]) => cli(['inbox', ...args], { DATABASE_URL: operatorUrl })

test('with the rights of docs/consumers.md an operator lists dead-lettered messages, and asks for a redrive', async () => {
  const list = await deadLettered('list')
  expect(list.stderr).toBe('')
  expect(list.stdout).toContain(`${messageId}  HANDLER_FAILED`)
  // No consumer runs that could answer; the request stands.
  expect((await deadLettered('redrive', messageId, '--timeout', '1')).stderr).toContain('OUTBOX_NO_ANSWER')
  expect(await database.query('SELECT requested_action FROM inbox_dead_letter')).toEqual([{ requested_action: 'redrive' }])
})

test('and without them not', async () => {
  await database.query('REVOKE ALL ON inbox_dead_letter FROM outbox_operator')
  expect((await deadLettered('list')).stderr).toContain('OUTBOX_MISSING_RIGHTS')
})
