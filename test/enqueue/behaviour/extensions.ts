import { beforeEach, describe, expect, test } from 'vitest'
import { outbox } from '../../../src/index.ts'
import { message, poison, rejection, type Shop } from './shop.ts'

/** Other extensions around it. */
export function describeExtensions(shop: Shop): void {
  const { customers, topics } = shop
  describe.runIf(shop.has('extensions'))('next to other extensions', () => {
    const seen: string[] = []
    type Client = Shop['base']
    const watching = <C extends Client>(client: C): C =>
      client.$extends({
        query: {
          $allOperations: ({ operation, args, query }) => {
            seen.push(operation)
            return query(args)
          },
        },
      }) as never
    const overriding = <C extends Client>(client: C): C => {
      const { $transaction } = client
      return client.$extends({
        client: {
          $transaction(this: C, input: never, options: never) {
            seen.push('$transaction')
            return $transaction.call(this, input, options)
          },
        },
      }) as never
    }
    const naming = <C extends Client>(client: C): C =>
      client.$extends({
        result: { order: { label: { needs: { customer: true }, compute: ({ customer }) => `order of ${customer}` } } },
      }) as never
    const boxed = (client: Client) => client.$extends(outbox({ wake: false })) as never as Client

    beforeEach(() => void seen.splice(0))

    const stacks: [string, () => Client, string[]][] = [
      ['a query extension before it', () => boxed(watching(shop.base)), ['create', '$executeRaw']],
      ['a query extension after it', () => watching(boxed(shop.base)), ['create']],
      ['another $transaction before it', () => boxed(overriding(shop.base)), ['$transaction']],
      ['another $transaction after it', () => overriding(boxed(shop.base)), ['$transaction']],
      ['a result extension around it', () => naming(boxed(naming(shop.base))), []],
      ['another outbox before it', () => boxed(shop.base.$extends(outbox({ model: 'outboxMessage', wake: false })) as never), []],
      ['another outbox after it', () => boxed(shop.base).$extends(outbox({ model: 'outboxMessage', wake: false })) as never, []],
    ]

    test.each(stacks)('%s: written with its transaction, and fails it', async (_name, stack, operations) => {
      const client = stack() as never as Shop['prisma']
      await client.$transaction(async (tx) => {
        const order = await tx.order.create({ data: { customer: 'Ada' } })
        void tx.outbox.enqueue({ topic: 'a', payload: order })
      })
      expect([await customers(), await topics()]).toEqual([['Ada'], ['a']])
      expect(seen).toEqual(expect.arrayContaining(operations))

      const failing = client.$transaction(async (tx) => {
        await tx.order.create({ data: { customer: 'Bob' } })
        void tx.outbox.enqueue(poison)
      })
      expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      const rolledBack = client.$transaction(async (tx) => {
        await tx.outbox.enqueue(message('b'))
        throw new Error('no')
      })
      await expect(rolledBack).rejects.toThrow('no')
      expect([await customers(), await topics()]).toEqual([['Ada'], ['a']])
    })

    test('a model method of another extension enqueues in the transaction in which it is called', async () => {
      const client = shop.prisma.$extends({
        model: {
          order: {
            async place(customer: string) {
              const { $parent } = this as never as { $parent: Shop['prisma'] }
              await $parent.order.create({ data: { customer } })
              void $parent.outbox.enqueue(message(customer))
            },
          },
        },
      })
      await client.$transaction((tx) => tx.order.place('Ada'))
      const failing = client.$transaction(async (tx) => {
        await tx.order.place('Bob')
        await tx.order.place('poison')
      })
      expect((await rejection(failing)).code).toBe('OUTBOX_TRANSACTION_DOOMED')
      expect([await customers(), await topics()]).toEqual([['Ada'], ['Ada']])
    })
  })
}
