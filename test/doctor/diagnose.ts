import { randomBytes } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { examined } from '../../src/cli/doctor.ts'
import type { Verdict } from '../../src/doctor/verdict.ts'
import type { TestDatabase } from '../support/database.ts'
import { insertRows } from '../support/rows.ts'

/** What the doctor says, by check. */
export interface Diagnosis {
  verdicts: Verdict[]
  /** The first verdict of a check. */
  of(check: string): Verdict
  level(check: string): Verdict['level']
}

/** Everything that the command `doctor` examines, with this environment, in this folder; without a process for each question. */
export async function diagnose(env: Record<string, string>, folder = process.cwd()): Promise<Diagnosis> {
  const verdicts = await examined({}, env, folder)
  const of = (check: string) => {
    const found = verdicts.find((one) => one.check === check)
    if (!found) throw new Error(`There is no check ${check} among ${verdicts.map((one) => one.check).join(', ')}.`)
    return found
  }
  return { verdicts, of, level: (check) => of(check).level }
}

/** What the doctor says about a topic of which nothing but one message waits. */
export async function judgeTopic(database: TestDatabase, topic: string, brokers: string, value = '{}'): Promise<Verdict[]> {
  await database.query('TRUNCATE outbox')
  await insertRows(database.pool, [{ topic, value }])
  const { verdicts } = await diagnose({ DATABASE_URL: database.directUrl, KAFKA_BROKERS: brokers })
  return verdicts.filter(({ check }) => check === `topic ${topic}`)
}

/** A login with these rights; it goes with the test. */
export async function loginOf(database: TestDatabase, ...grants: string[]): Promise<{ role: string; url: string }> {
  const role = `doctor_${randomBytes(4).toString('hex')}`
  await database.query(`CREATE ROLE ${role} LOGIN PASSWORD 'p'`)
  onTestFinished(async () => void (await database.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)))
  for (const grant of grants) await database.query(`GRANT ${grant} TO ${role}`)
  const url = new URL(database.directUrl)
  url.username = role
  url.password = 'p'
  return { role, url: url.href }
}
