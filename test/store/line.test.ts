import { expect, test } from 'vitest'
import { connectionConfig, Line } from '../../src/store/postgres/line.ts'
import { createDatabase } from '../support/database.ts'

/** What the statements of a line run under, where the database itself says otherwise. */
test('no statement runs under plan settings of the database, nor is one compiled by it: that takes a hundred times as long', async () => {
  const database = await createDatabase()
  const name = new URL(database.url).pathname.slice(1)
  const ofTheDatabase = { jit: 'on', enable_seqscan: 'on', enable_bitmapscan: 'on', row_security: 'on' }
  for (const [setting, value] of Object.entries(ofTheDatabase)) {
    await database.query(`ALTER DATABASE "${name}" SET ${setting} = ${value}`)
  }
  const line = await Line.open(connectionConfig(database.url), { statementTimeoutMs: 5_000, lockTimeoutMs: 5_000 }, () => {})
  for (const setting of Object.keys(ofTheDatabase)) {
    expect(await line.rows(`SELECT current_setting('${setting}') AS value`), setting).toEqual([{ value: 'off' }])
  }
  line.close()
  await database.drop()
})
