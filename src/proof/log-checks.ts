import { placementHash } from '../message/key.ts'
import { type Evidence, listed, placeOf } from './evidence.ts'
import { type Finding, Tally } from './finding.ts'
import type { LedgerRow, ReadRecord, WrittenMessage } from './history.ts'

const bytesOf = (key: string | null): Uint8Array | null => (key === null ? null : Buffer.from(key, 'latin1'))

/** The key of a message and, if its transactions follow one another, its number. */
const placeInKey = ({ key, n }: LedgerRow): string => `key ${key}${n === null ? '' : `, message ${n} of it`}`

/** Loss: every row of the ledger is in the log, or among the dead that are expected; every acknowledged commit is in the ledger. */
export function checkLoss({ history, topics, ledger, dumps }: Evidence): Finding {
  const tally = new Tally()
  const dead = new Set(history.rest?.expectedDead.map((one) => one.id))
  for (const { outcome, messages } of history.attempts) {
    if (outcome !== 'ok') continue
    for (const { id } of messages) {
      const expected = 'in the database: its commit was acknowledged'
      tally.expect(ledger.has(id), () => ({ of: id, expected, found: 'not there: the database lost it' }))
    }
  }
  for (const { dump, copies } of dumps) {
    for (const row of ledger.values()) {
      if (topics.get(row.topic)?.deleted || dead.has(row.id)) continue
      const expected = `in ${row.topic}, ${dump.isolation}: its transaction committed`
      tally.expect(copies.has(row.id), () => ({
        of: row.id,
        expected,
        found: `not there (${placeInKey(row)})`,
      }))
    }
  }
  return tally
}

/** Phantoms: every record of the log is a row of the ledger; nothing that rolled back is in the ledger. */
export function checkPhantom({ history, ledger, written, dumps }: Evidence): Finding {
  const tally = new Tally()
  for (const { outcome, messages } of history.attempts) {
    if (outcome !== 'fail') continue
    for (const { id } of messages) {
      const expected = 'not in the database: its transaction rolled back'
      tally.expect(!ledger.has(id), () => ({ of: id, expected, found: 'there' }))
    }
  }
  for (const { dump } of dumps) {
    for (const record of dump.records) {
      const committed = record.id !== null && ledger.has(record.id)
      tally.expect(committed, () => {
        const outcome = record.id === null ? undefined : written.get(record.id)?.attempt.outcome
        const found = `${placeOf(record)}, ${outcome ? `of a transaction that ended with ${outcome}` : 'that nobody wrote'}`
        return { of: record.id ?? 'a record without id', expected: 'no record without a committed transaction', found }
      })
    }
  }
  return tally
}

/** Integrity: key, value and headers of every copy are what was written, and the partition is Kafka's own murmur2 of the key. */
export function checkIntegrity({ written, topics, dumps }: Evidence): Finding {
  const tally = new Tally()
  for (const { dump } of dumps) {
    for (const record of dump.records) {
      const message = record.id === null ? undefined : written.get(record.id)?.message
      if (!message) continue
      const wrong = differences(record, message, topics.get(record.topic)?.partitions ?? [])
      const expected = 'the bytes that were enqueued, in the partition of their key'
      tally.expect(wrong.length === 0, () => ({ of: message.id, expected, found: `${placeOf(record)}: ${wrong.join('; ')}` }))
    }
  }
  return tally
}

function differences(record: ReadRecord, message: WrittenMessage, partitions: readonly number[]): string[] {
  const wrong: string[] = []
  if (record.topic !== message.topic) wrong.push(`topic ${record.topic}, not ${message.topic}`)
  if (record.key !== message.key) wrong.push(`key ${record.key}, not ${message.key}`)
  if (record.value !== message.value) wrong.push(`value ${record.value}, not ${message.value}`)
  const { 'created-at': createdAt, ...headers } = record.headers
  if (createdAt === undefined || Number.isNaN(Date.parse(createdAt))) wrong.push(`created-at is ${createdAt}`)
  const names = new Set([...Object.keys(headers), ...Object.keys(message.headers)])
  for (const name of names) {
    if (headers[name] !== message.headers[name]) wrong.push(`header ${name}: ${headers[name]}, not ${message.headers[name]}`)
  }
  const hash = placementHash(record.topic, bytesOf(record.key))
  if (!partitions.some((count) => hash % count === record.partition)) {
    wrong.push(`partition ${record.partition}, not ${partitions.map((count) => hash % count).join(' or ')}`)
  }
  return wrong
}

/**
 * Raw regressions: a record that stands behind a later one of its key must be a copy of one that stands before. Where there is a trace,
 * its message must have been published more than once, with a cause: a take-over or an unknown outcome.
 */
export function checkRegressions({ written, topics, dumps, sendsOf, history }: Evidence): Finding {
  const tally = new Tally()
  for (const { dump } of dumps) {
    const highest = new Map<string, number>()
    const seen = new Map<string, ReadRecord[]>()
    for (const record of dump.records) {
      const topic = topics.get(record.topic)
      const n = record.id === null ? undefined : written.get(record.id)?.message.n
      if (n === undefined || n === null || !topic || topic.partitions.length > 1 || topic.deleted) continue
      const line = JSON.stringify([record.topic, record.key])
      const top = highest.get(line) ?? 0
      const before = listed(seen, record.id!)
      if (n <= top) {
        const explained = before.length > 0 && (!history.traces || (sendsOf.get(record.id!)?.length ?? 0) > before.length)
        const expected = 'behind a later record of its key only as a copy that a take-over or an unknown outcome explains'
        const found = `${placeOf(record)}: message ${n} of its key after ${top}, copy ${before.length + 1}`
        tally.expect(explained, () => ({ of: record.id!, expected, found }))
      }
      highest.set(line, Math.max(n, top))
      before.push(record)
    }
  }
  return tally
}
