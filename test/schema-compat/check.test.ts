import { toStandardJsonSchema } from '@valibot/to-json-schema'
import * as v from 'valibot'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { defineEvents, event } from '../../src/index.ts'
import { checkEvents, type Finding } from '../../src/schema-compat/check.ts'
import { type Lock, lockOf, lockText, parseLock } from '../../src/schema-compat/lock.ts'
import { refusal } from '../message/refusal.ts'

const total = z.object({ id: z.string(), total: z.number() })
const placed = event({ topic: 'orders', schema: total })
const grown = placed.evolve({
  schema: z.object({ id: z.string(), total: z.string() }),
  up: (old) => ({ ...old, total: String(old.total) }),
})
const widened = placed.evolve({ schema: total.extend({ note: z.string().optional() }), up: (old) => old })

/** As the file gives it back. */
const locked = (lock: Lock) => parseLock(lockText(lock), 'events.lock.json')
const short = ({ level, type, version, path, reason, breaks }: Finding) => [level, type, version, path, reason, breaks]
const found = (before: Lock, now: Lock) => checkEvents(locked(before), now).map(short)
const of = (Placed: typeof placed) => lockOf(defineEvents({ Placed }))

describe('what schema check finds', () => {
  test('nothing where nothing has changed, or only words', () => {
    const described = event({ topic: 'orders', schema: total.describe('An order.').meta({ title: 'Order' }) })
    expect(found(of(placed), of(placed))).toEqual([])
    expect(found(of(placed), of(described))).toEqual([])
    expect(lockText(of(described))).toBe(lockText(of(placed)))
  })

  test('a changed version: who breaks, at which place, and that a new version is the remedy', () => {
    const now = of(event({ topic: 'orders', schema: z.object({ id: z.string(), total: z.string() }) }) as never)
    expect(found(of(placed), now)).toEqual([
      ['break', 'Placed', 1, 'payload.total', 'number became string', 'new consumers'],
      ['break', 'Placed', 1, 'payload.total', 'string became number', 'old consumers'],
    ])
    expect(checkEvents(of(placed), now)[0]!.remedy).toContain('.evolve(')
  })

  test('an optional field within a version breaks nobody', () => {
    expect(
      found(of(placed), of(event({ topic: 'orders', schema: total.extend({ note: z.string().optional() }) }) as never)),
    ).toEqual([])
  })

  test('a new version is new; one that old consumers cannot read is a warning about the order of deployment', () => {
    expect(found(of(placed), of(widened as never))).toEqual([['new', 'Placed', 2, null, 'version 2 is new', 'nobody']])
    expect(found(of(placed), of(grown as never))).toEqual([
      ['new', 'Placed', 2, null, 'version 2 is new', 'nobody'],
      ['warning', 'Placed', 2, 'payload.total', 'string became number, for consumers that stop at version 1', 'old consumers'],
    ])
  })

  test('an old version may be read more widely, but not more narrowly', () => {
    const chain = (first: z.ZodObject) =>
      of(event({ topic: 'orders', schema: first }).evolve({ schema: z.object({}), up: () => ({}) }) as never)
    const before = chain(z.object({ n: z.int() }))
    expect(found(before, chain(z.object({ n: z.number() })))).toEqual([])
    expect(found(before, chain(z.object({ n: z.int().min(1) })))).toEqual([
      ['break', 'Placed', 1, 'payload.n', 'minimum -9007199254740991 became 1', 'new consumers'],
    ])
  })

  test('versions, events and topics that are gone, and events that are new', () => {
    expect(found(of(grown as never), of(placed))).toEqual([
      ['break', 'Placed', 2, null, 'the version is gone', 'new consumers'],
      // What was written as version 2 is not what version 1 reads.
    ])
    expect(found(of(placed), lockOf(defineEvents({ Other: placed })))).toEqual([
      ['break', 'Placed', null, null, 'the event is gone', 'new consumers'],
      ['new', 'Other', null, null, 'the event is new', 'nobody'],
      ['warning', 'Other', null, null, 'consumers that do not know the event pass its messages over for good', 'old consumers'],
    ])
    expect(found(of(placed), of(event({ topic: 'sales', schema: total }) as never))).toEqual([
      ['break', 'Placed', null, null, 'the topic orders became sales', 'old consumers'],
    ])
  })
})

describe('the lock', () => {
  const lock = (schema: unknown) => lockOf(defineEvents({ A: event({ topic: 't', schema: schema as typeof total }) }))
  const iso = z.codec(z.iso.datetime(), z.date(), { decode: (text) => new Date(text), encode: (date) => date.toISOString() })

  test('keeps what is taken and what is written, of each version, without words', () => {
    const schema = z.object({ channel: z.enum(['web', 'shop']).default('web').describe('where') })
    const channel = { type: 'string', enum: ['web', 'shop'] }
    expect(lock(schema).events.A).toEqual({
      topic: 't',
      versions: [
        {
          in: { type: 'object', properties: { channel } },
          out: { type: 'object', properties: { channel }, required: ['channel'], additionalProperties: false },
          vendor: 'zod',
        },
      ],
    })
  })

  test('of a codec what travels is what it takes', () => {
    const [version] = lock(z.object({ at: iso })).events.A!.versions
    expect(version!.out).toEqual(version!.in)
  })

  test('a property that is called like a word of JSON Schema stays', () => {
    const [version] = lock(z.object({ title: z.string(), default: z.string() })).events.A!.versions
    expect(version!.in).toMatchObject({ required: ['title', 'default'], properties: { title: { type: 'string' } } })
  })

  test('valibot goes through its converter, and is refused without it', () => {
    expect(lock(toStandardJsonSchema(v.object({ id: v.string() }))).events.A!.versions[0]!.vendor).toBe('valibot')
    expect(refusal(() => lock(v.object({ id: v.string() })))).toEqual({ code: 'OUTBOX_INVALID_OPTION', field: 'schema' })
  })

  test('a schema that JSON Schema cannot say is refused, with the remedy', () => {
    expect(() => lock(z.object({ at: z.coerce.date() }))).toThrow(
      'JSON Schema cannot say what version 1 of A takes. Use a type that JSON has',
    )
  })

  test.each(['no JSON', '{"format":2,"events":{}}', 'null'])('a file that is no lock is refused: %s', (text) => {
    expect(refusal(() => parseLock(text, 'events.lock.json'))).toEqual({ code: 'OUTBOX_INVALID_OPTION', field: 'lock' })
  })
})
