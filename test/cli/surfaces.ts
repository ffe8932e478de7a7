import { randomUUID } from 'node:crypto'
import { bucketOf } from '../../src/message/key.ts'
import { cli } from '../support/cli.ts'
import type { TestDatabase } from '../support/database.ts'
import { eventually } from '../support/eventually.ts'
import { type RelayProcess, startRelayProcess } from '../support/relay-process.ts'
import { insertRows } from '../support/rows.ts'

/** Starts both; resolves when each has half of the buckets. */
export async function twoRelays(database: TestDatabase, env: Record<string, string>): Promise<Record<'a' | 'b', RelayProcess>> {
  const [a, b] = ['a', 'b'].map((name) => startRelayProcess({ ...env, OUTBOX_NAME: `relay-${name}` })) as [
    RelayProcess,
    RelayProcess,
  ]
  const halves = 'SELECT FROM outbox_lease WHERE owner IS NOT NULL HAVING count(*) = 64 AND count(DISTINCT owner) = 2'
  await eventually(
    database.pool,
    `${halves} AND min((SELECT count(*) FROM outbox_lease AS o WHERE o.owner = outbox_lease.owner)) = 32`,
  )
  return { a, b }
}

/** A message of the topic in a bucket of relay-a; its id. */
export async function messageOfA(database: TestDatabase, topic: string): Promise<string> {
  const rows = await database.query<{ bucket: number }>(
    "SELECT bucket FROM outbox_lease JOIN outbox_relay ON owner = id WHERE name = 'relay-a'",
  )
  const own = new Set(rows.map(({ bucket }) => bucket))
  const key = Array.from({ length: 1_000 }, (_, n) => `k${n}`).find((key) => own.has(bucketOf(topic, Buffer.from(key))))!
  const messageId = randomUUID()
  await insertRows(database.pool, [{ topic, key, messageId }])
  await eventually(database.pool, "SELECT FROM outbox_relay WHERE name = 'relay-a' AND trouble <> '[]'")
  return messageId
}

/** Where the relay serves its pages. */
export const urlOf = async (relay: RelayProcess) => String((await relay.until(({ event }) => event === 'listening')).url)

/** Asks until the page says it: the sampler of that relay looks every five seconds. */
export async function page(url: string, words: string): Promise<string> {
  for (;;) {
    const text = await (await fetch(url)).text()
    if (text.includes(words)) return text
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

/** Every surface that a person or a probe may look at, without the relay that owns the bucket. */
export async function surfaces(
  { id, topic, words }: { id: string; topic: string; words: string },
  other: RelayProcess,
  env: Record<string, string>,
): Promise<Record<string, string>> {
  const run = async (...args: string[]) => {
    const { stdout, stderr } = await cli(args, env)
    return stdout + stderr
  }
  const url = await urlOf(other)
  const [status, list, show, where, doctor] = await Promise.all([
    run('status'),
    run('list', '--topic', topic),
    run('show', id),
    run('where', id),
    run('doctor'),
  ])
  const [readyz, overview, message] = [
    await page(`${url}/readyz`, words),
    await page(`${url}/`, words),
    await page(`${url}/message?id=${id}`, words),
  ]
  return { status, list, show, where, doctor, readyz, overview, message }
}
