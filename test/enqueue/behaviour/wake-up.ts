import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { enqueue, outbox, wake } from '../../../src/index.ts'
import { message, type Shop } from './shop.ts'

/** When relays are woken, and when not. */
export function describeWakeUp(shop: Shop): void {
  const { connect, statements, topics } = shop
  describe('wake-up', () => {
    /** Hears the channel; `next` resolves with the number of notifications so far once there are `count`. */
    const listen = async () => {
      const client = new pg.Client({ connectionString: shop.db.url })
      await client.connect()
      const heard: number[] = []
      const waiting = new Set<() => void>()
      client.on('notification', () => {
        heard.push(performance.now())
        for (const wake of waiting) wake()
      })
      await client.query('LISTEN outbox_wake')
      return {
        heard,
        until: async (enough: () => boolean) => {
          while (!enough()) {
            await new Promise<void>((resolve) => {
              waiting.add(resolve)
            })
          }
        },
        /** Everything that was sent before has arrived when it returns. */
        async flush() {
          const before = heard.length
          await client.query('NOTIFY outbox_wake')
          await this.until(() => heard.length > before)
          heard.pop()
        },
        [Symbol.asyncDispose]: () => client.end(),
      }
    }

    test('a commit with a message wakes the relays; a rollback, or a commit without one, does not', async () => {
      await using ear = await listen()
      const client = shop.boxed({ wake: true })
      await client.$transaction((tx) => tx.order.create({ data: { customer: 'Ada' } }))
      await client
        .$transaction(async (tx) => {
          await tx.outbox.enqueue(message('a'))
          throw new Error('no')
        })
        .catch(() => {})
      await ear.flush()
      expect(ear.heard).toHaveLength(0)
      await client.$transaction((tx) => tx.outbox.enqueue(message('a')))
      await ear.until(() => ear.heard.length > 0)
      // Prisma tells a statement after its answer: the notification may be here before.
      await expect.poll(() => statements.at(-1)).toBe('NOTIFY "outbox_wake"')
      expect(statements.indexOf('COMMIT')).toBeLessThan(statements.indexOf('NOTIFY "outbox_wake"'))
    })

    test('an enqueue that is its own transaction wakes them too', async () => {
      await using ear = await listen()
      await shop.boxed({ requireTransaction: false, wake: true }).outbox.enqueue(message('a'))
      await ear.until(() => ear.heard.length > 0)
      expect(await topics()).toEqual(['a'])
    })

    test('wake: false sends none', async () => {
      await using ear = await listen()
      await shop.prisma.$transaction((tx) => tx.outbox.enqueue(message('a')))
      await ear.flush()
      expect(ear.heard).toHaveLength(0)
    })

    test.runIf(shop.has('extensions'))('a wake-up that fails or hangs is nobody`s concern', async () => {
      const asked: string[] = []
      const deaf = (answer: () => Promise<never>) =>
        shop.base
          .$extends({
            query: {
              $executeRawUnsafe: () => {
                asked.push('NOTIFY')
                return answer()
              },
            },
          })
          .$extends(outbox())
      for (const client of [deaf(() => Promise.reject(new Error('deaf'))), deaf(() => new Promise(() => {}))]) {
        await client.$transaction((tx) => tx.outbox.enqueue(message('a')))
      }
      await new Promise((resolve) => setImmediate(resolve))
      expect(asked).toEqual(['NOTIFY', 'NOTIFY'])
      expect(await topics()).toEqual(['a', 'a'])
    })

    test.runIf(shop.has('functionForm'))('the function form wakes nobody, until wake() is called', async () => {
      await using ear = await listen()
      await shop.base.$transaction((tx) => enqueue(tx, message('a')))
      await ear.flush()
      expect(ear.heard).toHaveLength(0)
      await wake(shop.base)
      await ear.flush()
      expect(ear.heard).toHaveLength(1)
    })

    test.runIf(shop.has('functionForm'))(
      'wake() is throttled as the extension is, and each call is followed by a notification',
      async () => {
        await using ear = await listen()
        const begin = performance.now()
        await Promise.all(Array.from({ length: 100 }, () => wake(shop.base)))
        await wake(shop.base)
        await ear.flush()
        expect(ear.heard.length).toBeGreaterThanOrEqual(2)
        expect(ear.heard.length).toBeLessThanOrEqual(Math.ceil((performance.now() - begin) / 50) + 1)
      },
    )

    test('wake() never rejects and does not wait for long, whatever the database does', async () => {
      const broken = (answer: () => Promise<never>) => ({ $connect() {}, $executeRawUnsafe: answer })
      await wake(broken(() => Promise.reject(new Error('deaf'))))
      await wake(broken(() => new Promise(() => {})))
      await wake(undefined as never)
    })

    test('a client that disconnects is not connected again by a wake-up', async () => {
      const client = connect()
      const app = shop.boxed({ wake: true }, client)
      for (let i = 0; i < 3; i++) await app.$transaction((tx) => tx.outbox.enqueue(message('a')))
      await app.$disconnect()
      const sent = statements.length
      await new Promise((resolve) => setTimeout(resolve, 100))
      expect(statements.length).toBe(sent)
    })

    // The last one: the wake-up after the last commit may come when it is over, and others would hear it.
    test('a burst of commits wakes at most 20 times a second, and once after the last', async () => {
      await using ear = await listen()
      const client = shop.boxed({ wake: true })
      const begin = performance.now()
      let last = begin
      while (performance.now() - begin < 600) {
        await client.$transaction((tx) => tx.outbox.enqueue(message('a')))
        last = performance.now()
      }
      await ear.until(() => ear.heard.at(-1)! > last)
      const slots = Math.ceil((ear.heard.at(-1)! - begin) / 50) + 1
      expect((await topics()).length).toBeGreaterThan(slots)
      expect(ear.heard.length).toBeLessThanOrEqual(slots)
    })
  })
}
