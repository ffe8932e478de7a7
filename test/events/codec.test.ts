import avro from 'avsc'
import protobuf from 'protobufjs'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { z } from 'zod'
import { upcast } from '../../src/events/upcast.ts'
import { type Codec, defineEvents, type EncodedEvent, event, outbox } from '../../src/index.ts'
import { isOutboxError } from '../../src/message/errors.ts'
import { checkWire } from '../../src/testing/index.ts'
import { prisma7, shopSql } from '../enqueue/clients.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'

/** Confluent's wire format: a zero byte, the id of the schema in four bytes, and what follows. */
const framed = (id: number, bytes: Uint8Array) => Buffer.concat([Buffer.from([0, 0, 0, 0, id]), bytes])

function unframed(bytes: Uint8Array): { id: number; body: Buffer } {
  const buffer = Buffer.from(bytes)
  if (buffer[0] !== 0) throw new Error('Not in the wire format of Confluent.')
  return { id: buffer.readUInt32BE(1), body: buffer.subarray(5) }
}

/** What a registry would know: the id of each version's schema. */
const avroTypes = new Map([
  [
    7,
    avro.Type.forSchema({
      type: 'record',
      name: 'Parcel',
      fields: [
        { name: 'id', type: 'string' },
        { name: 'grams', type: 'int' },
      ],
    }),
  ],
  [
    8,
    avro.Type.forSchema({
      type: 'record',
      name: 'Parcel',
      fields: [
        { name: 'id', type: 'string' },
        { name: 'grams', type: 'int' },
        { name: 'express', type: 'boolean' },
      ],
    }),
  ],
])
const avroCodec: Codec = {
  contentType: 'application/vnd.confluent.avro',
  encode: (payload, { version }) => framed(6 + version, avroTypes.get(6 + version)!.toBuffer(payload)),
  decode: (bytes) => {
    const { id, body } = unframed(bytes)
    return avroTypes.get(id)!.fromBuffer(body)
  },
}

const { root } = protobuf.parse('syntax = "proto3"; message Note { string text = 1; uint32 stars = 2; }')
const Note = root.lookupType('Note')
/** Confluent's Protobuf puts the place of the message in its file between id and body; one zero byte stands for the first message. */
const protobufCodec: Codec = {
  contentType: 'application/x-protobuf',
  // Asynchronous, as one that asks a registry.
  encode: async (payload) =>
    framed(9, Buffer.concat([Buffer.from([0]), Note.encode(Note.fromObject(payload as object)).finish()])),
  decode: (bytes) => Note.toObject(Note.decode(unframed(bytes).body.subarray(1)), { defaults: true }),
}

const Parcel = event({ topic: 'parcels', key: (one) => one.id, schema: z.object({ id: z.string(), grams: z.int() }) }).evolve({
  schema: z.object({ id: z.string(), grams: z.int(), express: z.boolean().default(false) }),
  up: (old) => old,
})
const parcels = defineEvents({ Parcel }, { codec: avroCodec })
const notes = defineEvents(
  { Note: event({ topic: 'notes', key: (one) => one.text, schema: z.object({ text: z.string(), stars: z.int().min(0) }) }) },
  { codec: protobufCodec },
)

let db: TestDatabase
let base: ReturnType<typeof connect>
const connect = () => new prisma7.PrismaClient({ adapter: new prisma7.PrismaPg({ connectionString: db.url }) })

beforeAll(async () => {
  db = await createDatabase(shopSql)
  base = connect()
})
afterAll(async () => {
  await base.$disconnect()
  await db.drop()
})
beforeEach(() => db.query('TRUNCATE "outbox" RESTART IDENTITY'))

const stored = () =>
  db.query<{ key: Buffer; value: Buffer; headers: object }>('SELECT key, value, headers FROM outbox ORDER BY id')

test('Avro in the wire format of Confluent: the row has its bytes, its content type and the version', async () => {
  const prisma = base.$extends(outbox({ events: parcels, wake: false }))
  await prisma.$transaction((tx) => tx.outbox.enqueue({ type: 'Parcel', payload: { id: 'p-1', grams: 500 } }))
  // Avro by hand: length 3 and text, 500 as a zigzag varint, false.
  const body = Buffer.from([0, 0, 0, 0, 8, 6, ...Buffer.from('p-1'), 0xe8, 0x07, 0])
  expect(await stored()).toEqual([
    { key: Buffer.from('p-1'), value: body, headers: { version: '2', 'content-type': 'application/vnd.confluent.avro' } },
  ])
})

test('Protobuf in the wire format of Confluent, by an asynchronous codec: the order of the calls stays', async () => {
  const prisma = base.$extends(outbox({ events: notes, wake: false }))
  await prisma.$transaction(async (tx) => {
    for (const stars of [3, 300]) void tx.outbox.enqueue({ type: 'Note', payload: { text: 'hi', stars } })
  })
  const body = (...stars: number[]) => Buffer.from([0, 0, 0, 0, 9, 0, 0x0a, 2, ...Buffer.from('hi'), 0x10, ...stars])
  const headers = { version: '1', 'content-type': 'application/x-protobuf' }
  expect(await stored()).toEqual([
    { key: Buffer.from('hi'), value: body(3), headers },
    { key: Buffer.from('hi'), value: body(0xac, 0x02), headers },
  ])
})

test('what an old version wrote is decoded and brought to the newest', async () => {
  const old: EncodedEvent = { topic: 'parcels', type: 'Parcel', version: 1 }
  const bytes = framed(7, avroTypes.get(7)!.toBuffer({ id: 'p-1', grams: 5 }))
  const payload = parcels.codec!.decode(bytes, old)
  expect(await upcast(Parcel, { ...old, payload })).toEqual({ id: 'p-1', grams: 5, express: false })
})

test('checkWire goes through the codec', async () => {
  await checkWire(parcels, {
    Parcel: [
      { id: 'p', grams: 1 },
      { id: 'p', grams: -7, express: true },
    ],
  })
  await checkWire(notes, { Note: [{ text: 'ü', stars: 4 }] })
  const lossy = defineEvents(
    { Note: event({ topic: 'notes', schema: z.object({ text: z.string(), stars: z.int(), note: z.string().optional() }) }) },
    { codec: protobufCodec },
  )
  const lost = checkWire(lossy, { Note: [{ text: 'a', stars: 1, note: 'Protobuf has no such field' }] })
  await expect(lost).rejects.toMatchObject({ code: 'OUTBOX_INVALID_PAYLOAD', field: 'samples.Note[0].note' })
})

test('the schema is asked before the codec, and a codec that fails or gives no bytes dooms the transaction', async () => {
  const attempt = (codec: Codec, payload: unknown) => {
    const events = defineEvents({ Any: event({ topic: 'any', schema: z.number() }) }, { codec })
    const sent = base.$extends(outbox({ events, wake: false })).$transaction(async (tx) => {
      await tx.outbox.enqueue({ type: 'Any', payload: payload as number }).catch(() => {})
    })
    return sent.catch((error: unknown) => (isOutboxError(error, 'OUTBOX_TRANSACTION_DOOMED') ? error.cause : error))
  }
  const failing = { ...avroCodec, encode: () => Promise.reject(new Error('The registry is away.')) }
  expect(await attempt(failing, 1)).toMatchObject({ message: 'The registry is away.' })
  const textual = { ...avroCodec, encode: async () => 'text' as never }
  expect(await attempt(textual, 1)).toMatchObject({ code: 'OUTBOX_INVALID_PAYLOAD', field: 'payload' })
  expect(await attempt(failing, 'one')).toMatchObject({ code: 'OUTBOX_INVALID_PAYLOAD' })
  expect(await stored()).toEqual([])
})
