import { bytesContentType, jsonContentType } from '../message/headers.ts'
import { uuidv7 } from '../message/id.ts'
import type { Message } from '../message/message.ts'
import type { WrittenMessage } from './history.ts'
import { fingerprint, latin1 } from './history.ts'

/** What the writers write. */
export interface WriterPlan {
  /** Topics to draw from; one that stands there twice is drawn twice as often. */
  topics: readonly string[]
  /** Keys of each topic whose messages are serialized by a row lock. */
  keys: number
  /** Keys of each topic that nothing serializes; messages without a key are among these. */
  looseKeys: number
  /** Transactions at a time. */
  writers: number
  /** Milliseconds between two transactions of a writer: a range. */
  pauseMs: readonly [least: number, most: number]
  /** Milliseconds that a late commit waits: a range. */
  lateMs: readonly [least: number, most: number]
  /** Shares of the transactions, 0 to 1. */
  shares: { rollback: number; multiple: number; late: number; loose: number }
  /** Bytes of the largest value. */
  largestBytes: number
}

/** The shares that find faults: rollbacks for phantoms, several keys and late commits for order, loose keys for the interval order. */
export const usualShares = { rollback: 0.15, multiple: 0.05, late: 0.05, loose: 0.1 } as const

/** A transaction before it is run. */
export interface DrawnTransaction {
  /** In the order of the enqueues. */
  messages: DrawnMessage[]
  rollback: boolean
  /** Milliseconds to wait before the commit. */
  waitMs: number
}

/** A message before its transaction is run. */
export interface DrawnMessage {
  message: Message & { id: string; headers: Record<string, string> }
  serialized: boolean
}

/** The serialized keys of every topic: texts, bytes that are no text, and the key of no bytes. */
export function serializedKeys(count: number): (string | Uint8Array)[] {
  return Array.from({ length: count }, (_, i) => {
    if (i === 0) return ''
    return i % 10 === 9 ? Uint8Array.of(0, 0xff, i >> 8, i & 0xff) : `key-${i}`
  })
}

/** Key bytes of a message as they will stand in the record. */
export const keyBytes = (key: Message['key']): Uint8Array | null => {
  if (key === null || key === undefined) return null
  return typeof key === 'object' ? key : Buffer.from(String(key))
}

/** Draws the next transaction. */
export function drawTransaction(plan: WriterPlan, random: () => number): DrawnTransaction {
  const { shares, lateMs } = plan
  const count = random() < shares.multiple ? drawCount(random) : 1
  const loose = random() < shares.loose
  const messages = Array.from({ length: count }, () => drawMessage(plan, loose, random))
  // One order of the row locks for all: two writers that lock the same keys in different orders would deadlock.
  if (!loose) messages.sort((a, b) => (lineName(a) < lineName(b) ? -1 : 1))
  const late = random() < shares.late
  return {
    messages,
    rollback: random() < shares.rollback,
    // Short waits more often than long ones: a writer that waits writes nothing else.
    waitMs: late ? lateMs[0] + random() ** 3 * (lateMs[1] - lateMs[0]) : 0,
  }
}

/** Messages of a transaction with several: a few, and now and then as many as an import writes. */
const drawCount = (random: () => number): number =>
  random() < 0.1 ? 40 + Math.floor(random() * 60) : 2 + Math.floor(random() * 4)

const lineName = ({ message }: DrawnMessage): string => `${message.topic}\n${latin1(keyBytes(message.key))}`

function drawMessage(plan: WriterPlan, loose: boolean, random: () => number): DrawnMessage {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const key = loose
    ? pick([null, ...Array.from({ length: plan.looseKeys }, (_, i) => `loose-${i}`)])
    : pick(serializedKeys(plan.keys))
  const headers: Record<string, string> = random() < 0.3 ? { tenant: `Größe ${Math.floor(random() * 9)}`, empty: '' } : {}
  const message = { id: uuidv7(), topic: pick(plan.topics), key, headers, payload: drawPayload(key, plan.largestBytes, random) }
  return { message: random() < 0.3 ? { ...message, type: 'OrderPlaced' } : message, serialized: !loose }
}

function drawPayload(key: unknown, largestBytes: number, random: () => number): Message['payload'] {
  const kind = random()
  if (kind < 0.05 && key !== null) return null
  if (kind < 0.1) return Uint8Array.from({ length: Math.floor(random() * 200) }, () => Math.floor(random() * 256))
  const size = kind < 0.12 ? largestBytes : 300
  return { order: Math.floor(random() * 1e9), note: 'ä€😀"\\'.repeat(Math.floor((random() * size) / 16)) }
}

/** What must be found in Kafka of a message. Not from the code that enqueues: it is what that code is judged by. */
export function meant({ message }: DrawnMessage, n: number | null, enqueuedAt: number): WrittenMessage {
  const { id, topic, key, payload, type } = message
  const bytes = payload === null || payload instanceof Uint8Array ? payload : Buffer.from(JSON.stringify(payload))
  const headers: Record<string, string> = { ...message.headers, id }
  if (type !== undefined) headers.type = type
  if (bytes !== null) headers['content-type'] = payload instanceof Uint8Array ? bytesContentType : jsonContentType
  return { id, topic, key: latin1(keyBytes(key)), n, value: fingerprint(bytes as Uint8Array | null), headers, enqueuedAt }
}

/** Repeatable random numbers from 0 to 1 (Park and Miller's minimal standard generator). `seed` is a whole number. */
export function randomFrom(seed: number): () => number {
  // 0 and multiples of the modulus would stay 0 forever.
  let state = Math.abs(Math.trunc(seed)) % 2_147_483_647 || 1
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}
