import { describe, expect, test } from 'vitest'
import { enqueue, enqueueMany, outbox } from '../../../src/index.ts'
import { refusal } from '../../message/refusal.ts'
import { message, rejection, type Shop } from './shop.ts'

/** Where it is written: model, table and schema. */
export function describePlace(shop: Shop): void {
  const { connect, topics } = shop
  describe('where it is written', () => {
    test.runIf(shop.has('models'))('the model may have a name of its own, and its table a prefix', async () => {
      const client = shop.base.$extends(outbox({ model: 'outboxMessage', wake: false }))
      await client.$transaction((tx) => tx.outboxMessage.enqueue(message('a')))
      expect(await topics('p_outbox')).toEqual(['a'])
      expect(await topics()).toEqual([])
    })

    test.runIf(shop.has('models'))(
      'the function form finds the prefix by the model, and takes another one as an option',
      async () => {
        await shop.db.query('TRUNCATE p_outbox')
        await shop.base.$transaction((tx) => enqueue(tx, message('a'), { model: 'outboxMessage' }))
        await shop.base.$transaction((tx) => enqueue(tx, message('b'), { tablePrefix: 'p_' }))
        await shop.base.$transaction((tx) => enqueueMany(tx, [message('c')], { tablePrefix: 'p_' }))
        await shop.base.$transaction((tx) => enqueue(tx, message('d'), { model: 'outboxMessage', tablePrefix: '' }))
        expect([await topics('p_outbox'), await topics()]).toEqual([['a', 'b', 'c'], ['d']])
      },
    )

    test.runIf(shop.has('models')).each([
      ['elsewhere', 'letters'],
      ['backwards', 'outbox_messages'],
      ['shouting', 'P_outbox'],
    ])('a model %s on the table %s is refused: no relay would read it', async (model, table) => {
      const refused = { code: 'OUTBOX_MODEL_MISSING', field: 'model' }
      const apply = () => shop.base.$extends(outbox({ model: model as never }))
      expect(refusal(apply)).toEqual(refused)
      expect(apply).toThrow(`the table "${table}", which no relay reads. Map it to "outbox"`)
      const failing = shop.base.$transaction(async (tx) => enqueue(tx, message('a'), { model }))
      expect((await rejection(failing)).code).toBe(refused.code)
    })

    test('the tables may be in a PostgreSQL schema of their own', async () => {
      const client = shop.boxed({ schema: 'Shop "2"' })
      await client.$transaction((tx) => tx.outbox.enqueueMany([message('a'), message('b')]))
      await shop.prisma.$transaction((tx) => shop.enqueue(tx, message('c'), { schema: 'Shop "2"' }))
      expect(await topics('"Shop ""2""".outbox')).toEqual(['a', 'b', 'c'])
    })

    test.runIf(shop.has('models')).each(['the adapter', 'the URL'])('the schema of %s is the default', async (place) => {
      await shop.db.query('TRUNCATE "Shop ""2""".outbox')
      const schema = 'Shop "2"'
      const url = place === 'the URL' ? `${shop.db.url}?schema=${encodeURIComponent(schema)}` : shop.db.url
      const client = connect(url, place === 'the adapter' ? { schema } : undefined)
      try {
        await client.$extends(outbox({ wake: false })).$transaction((tx) => tx.outbox.enqueue(message(place.slice(4))))
      } finally {
        await client.$disconnect()
      }
      expect(await topics('"Shop ""2""".outbox')).toEqual([place.slice(4)])
    })

    test.runIf(shop.has('models'))('a schema without the model is refused where the extension is applied', () => {
      expect(refusal(() => shop.base.$extends(outbox({ model: 'nothing' as never })))).toEqual({
        code: 'OUTBOX_MODEL_MISSING',
        field: 'model',
      })
    })

    test.runIf(shop.has('models'))('a model of that name which is no outbox is refused, with the fields that it lacks', () => {
      const apply = () => shop.base.$extends(outbox({ model: 'letter' as never }))
      expect(refusal(apply)).toEqual({ code: 'OUTBOX_MODEL_MISSING', field: 'model' })
      expect(apply).toThrow('bucket, message_id, type, key, value, headers, created_at')
    })

    test.each([
      ['model', { model: '' }],
      ['schema', { schema: '' }],
      ['tablePrefix', { tablePrefix: 'P_' }],
      ['tablePrefix', { tablePrefix: 'p'.repeat(31) }],
      ['maxBytes', { maxBytes: 0 }],
      ['maxBytes', { maxBytes: '1' }],
      ['wake', { wake: 'no' }],
      ['requireTransaction', { requireTransaction: 1 }],
      ['wak', { wak: false }],
    ])('a wrong option %s is refused at once', (field, options) => {
      expect(refusal(() => shop.boxed(options as never))).toEqual({ code: 'OUTBOX_INVALID_OPTION', field })
    })

    test('a prefix of the tables is an option, of the client and of the function form', async () => {
      await shop.db.query('TRUNCATE p_outbox')
      await shop.boxed({ tablePrefix: 'p_' }).$transaction(async (tx) => {
        await tx.outbox.enqueue(message('a'))
        await shop.enqueueMany(tx, [message('b')])
        await shop.enqueue(tx, message('c'), { tablePrefix: '' })
      })
      expect([await topics('p_outbox'), await topics()]).toEqual([['a', 'b'], ['c']])
    })

    test('tables that are not there are told with their remedy', async () => {
      const client = shop.boxed({ schema: 'elsewhere' })
      const failing = client.$transaction((tx) => tx.outbox.enqueue(message('a')))
      expect((await rejection(failing)).code).toBe('OUTBOX_TABLES_MISSING')
    })

    test('the size limit is an option', async () => {
      const client = shop.boxed({ maxBytes: 20 })
      const enqueueing = (payload: string) => client.$transaction(async (tx) => tx.outbox.enqueue({ topic: 't', payload }))
      await enqueueing('x'.repeat(18))
      expect((await rejection(enqueueing('x'.repeat(19)))).code).toBe('OUTBOX_MESSAGE_TOO_LARGE')
    })
  })
}
