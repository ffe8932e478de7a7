import { describe, expect, test } from 'vitest'
import { enqueue, enqueueMany, withOutbox } from '../../../src/index.ts'
import { message, poison, rejection, type Shop } from './shop.ts'

/** The same without the extension, and with it applied at run time. */
export function describePlain(shop: Shop): void {
  const { customers, topics } = shop
  describe.runIf(shop.has('functionForm'))('without the extension', () => {
    test('the function form writes in the transaction of its client', async () => {
      const id = await shop.base.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Ada' } })
        return enqueue(tx, message('a'))
      })
      expect(await shop.db.query('SELECT message_id, topic FROM outbox')).toEqual([{ message_id: id, topic: 'a' }])
    })

    test('and is rolled back with it', async () => {
      const failing = shop.base.$transaction(async (tx) => {
        await enqueueMany(tx, [message('a'), message('b')])
        throw new Error('no')
      })
      await expect(failing).rejects.toThrow('no')
      expect(await topics()).toEqual([])
    })

    test('its model is an option', async () => {
      await shop.db.query('TRUNCATE p_outbox')
      await shop.base.$transaction((tx) => enqueue(tx, message('a'), { model: 'outboxMessage' }))
      expect(await topics('p_outbox')).toEqual(['a'])
    })
  })

  test.runIf(shop.has('extensions'))('withOutbox does the same at run time', async () => {
    const client = withOutbox(shop.base, { wake: false })
    const failing = client.$transaction(async (tx) => {
      await tx.order.create({ data: { customer: 'Ada' } })
      void tx.outbox.enqueue(poison)
    })
    expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
    await client.$transaction((tx) => tx.outbox.enqueue(message('a')))
    expect([await customers(), await topics()]).toEqual([[], ['a']])
  })
}
