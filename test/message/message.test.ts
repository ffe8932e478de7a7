import { describe, expect, test } from 'vitest'
import { OutboxError } from '../../src/message/errors.ts'
import { reservedHeaders } from '../../src/message/headers.ts'
import { bucketOf } from '../../src/message/key.ts'
import { encodeMessage, type Message } from '../../src/message/message.ts'
import { refusal } from './refusal.ts'

const text = (bytes: Uint8Array | null) => (bytes === null ? null : Buffer.from(bytes).toString())
const refuses = (message: unknown, limits = {}) => refusal(() => encodeMessage(message as Message, limits))

describe('row', () => {
  test('a message becomes the row that is inserted', () => {
    const id = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'
    const row = encodeMessage({
      topic: 'orders',
      key: 7,
      payload: { a: 1 },
      headers: { source: 'shop' },
      type: 'OrderPlaced',
      id,
    })
    expect({ ...row, key: text(row.key), value: text(row.value) }).toEqual({
      bucket: bucketOf('orders', Buffer.from('7')),
      messageId: id,
      topic: 'orders',
      type: 'OrderPlaced',
      key: '7',
      value: '{"a":1}',
      headers: '{"source":"shop"}',
      lockKey: false,
    })
  })

  test('a JSON payload without headers stores none: the relay knows its content type', () => {
    expect(encodeMessage({ topic: 't', payload: 1 }).headers).toBeNull()
  })

  test('a payload of bytes is stored as it is, and says so', () => {
    const bytes = new Uint8Array([0, 255, 128])
    const row = encodeMessage({ topic: 't', payload: bytes, headers: { a: 'b' } })
    bytes[0] = 9
    expect(row.value).toEqual(new Uint8Array([0, 255, 128]))
    expect(JSON.parse(row.headers!)).toEqual({ a: 'b', 'content-type': 'application/octet-stream' })
  })

  test('null is a tombstone', () => {
    expect(encodeMessage({ topic: 't', key: 'k', payload: null })).toMatchObject({ value: null, headers: null })
  })

  test('a message without an id gets a UUIDv7', () => {
    expect(encodeMessage({ topic: 't', payload: 1 }).messageId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/)
  })

  test('a header named __proto__ is stored like any other', () => {
    const row = encodeMessage({ topic: 't', payload: 1, headers: JSON.parse('{"__proto__":"x"}') })
    expect(row.headers).toBe('{"__proto__":"x"}')
  })
})

describe('refused', () => {
  test.each<[string, unknown]>([
    ['not a string', 7],
    ['missing', undefined],
    ['empty', ''],
    ['a dot', '.'],
    ['two dots', '..'],
    ['too long', 'a'.repeat(250)],
    ['with a space', 'my orders'],
    ['with an umlaut', 'Aufträge'],
    ['with a line feed at its end', 'orders\n'],
  ])('a topic that is %s', (_name, topic) => {
    expect(refuses({ topic, payload: 1 })).toEqual({ code: 'OUTBOX_INVALID_TOPIC', field: 'topic' })
  })

  test('the longest topic that Kafka takes is taken', () => {
    expect(encodeMessage({ topic: 'a'.repeat(249), payload: 1 }).topic).toHaveLength(249)
  })

  test.each(['Id', ...reservedHeaders])('the header %s, which the relay writes', (name) => {
    expect(refuses({ topic: 't', payload: 1, headers: { [name]: 'x' } })).toEqual({
      code: 'OUTBOX_INVALID_HEADER',
      field: `headers["${name}"]`,
    })
  })

  test.each<[string, unknown, string]>([
    ['a number', { n: 1 }, 'headers["n"]'],
    ['undefined', { trace: undefined }, 'headers["trace"]'],
    ['an unpaired surrogate', { a: '\ud800' }, 'headers["a"]'],
    ['NUL, which jsonb cannot hold', { a: '\0' }, 'headers["a"]'],
    ['an empty name', { '': 'x' }, 'headers[""]'],
    ['an array', ['a'], 'headers'],
    ['a Map', new Map([['a', 'b']]), 'headers'],
  ])('headers with %s', (_name, headers, field) => {
    expect(refuses({ topic: 't', payload: 1, headers })).toEqual({ code: 'OUTBOX_INVALID_HEADER', field })
  })

  test('a tombstone without a key', () => {
    expect(refuses({ topic: 't', payload: null })).toEqual({ code: 'OUTBOX_INVALID_PAYLOAD', field: 'payload' })
  })

  test('a message without a payload', () => {
    expect(refuses({ topic: 't' })).toEqual({ code: 'OUTBOX_INVALID_PAYLOAD', field: 'payload' })
  })

  test.each([[null], ['order'], [[]], [undefined]])('%j instead of a message', (message) => {
    expect(refuses(message)).toEqual({ code: 'OUTBOX_INVALID_MESSAGE', field: 'message' })
  })

  test('a field that nothing would obey', () => {
    expect(refuses({ topic: 't', payload: 1, partition: 3 })).toEqual({ code: 'OUTBOX_INVALID_MESSAGE', field: 'message' })
  })

  test.each([[''], [7], ['a\0'], ['\ud800']])('the type %j', (type) => {
    expect(refuses({ topic: 't', payload: 1, type })).toEqual({ code: 'OUTBOX_INVALID_MESSAGE', field: 'type' })
  })

  test('in an array of messages the error names the one', () => {
    expect(refuses({ topic: '', payload: 1 }, { path: 'messages[3].' }).field).toBe('messages[3].topic')
    expect(refuses(null, { path: 'messages[3].' }).field).toBe('messages[3]')
  })
})

describe('size', () => {
  const message = (payload: string) => ({ topic: 't', key: 'four', payload, headers: { ab: 'ü' } })

  test('key, value and headers count, in bytes', () => {
    // key 4, value 2 quotes + 90, header 2 + 2
    expect(encodeMessage(message('x'.repeat(90)), { maxBytes: 100 }).topic).toBe('t')
    expect(refuses(message('x'.repeat(91)), { maxBytes: 100 })).toEqual({ code: 'OUTBOX_MESSAGE_TOO_LARGE', field: 'payload' })
  })

  test('the error tells the sizes', () => {
    const act = () => encodeMessage(message('x'.repeat(91)), { maxBytes: 100 })
    expect(act).toThrow(OutboxError)
    expect(act).toThrow('101 bytes (key 4, value 93, headers 4), over the limit of 100')
  })

  test('by default 900,000 bytes are let through and no more', () => {
    expect(encodeMessage({ topic: 't', payload: new Uint8Array(900_000) }).value).toHaveLength(900_000)
    expect(refuses({ topic: 't', payload: new Uint8Array(900_001) }).code).toBe('OUTBOX_MESSAGE_TOO_LARGE')
  })
})
