import { oneForAll } from '../message/one-copy.ts'
import { wakeChannel } from '../message/wake.ts'
import { WakeUp } from './wake-up.ts'

// Keeps rule 19 of docs/protocol-application.md.

/** A Prisma client outside of a transaction, of any version and with any extensions. */
export interface WakingClient {
  $connect: unknown
  $executeRawUnsafe(sql: string): PromiseLike<unknown>
}

/** Milliseconds for which {@link wake} waits for a database that does not answer. */
const patienceMs = 1_000

const wakeUps = oneForAll('wake-ups', () => new WeakMap<object, WakeUp>())

/**
 * Wakes the relays after a transaction that used the function form `enqueue(tx, …)`; the extension does it for you. At most 20
 * notifications a second are sent for a client. Without it a message waits until the relay polls: up to a second.
 *
 * @param client the Prisma client, not the `tx` of a transaction.
 * @returns a promise that resolves when the notification is sent, or after a second, and never rejects. It need not be awaited, except before
 *   `$disconnect`.
 * @example
 * ```ts
 * await prisma.$transaction((tx) => enqueue(tx, { topic: 'order_placed', key: order.id, payload: order }))
 * void wake(prisma)
 * ```
 */
export async function wake(client: WakingClient): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  // Whatever is wrong, the transaction is committed: an error would have it done twice.
  try {
    const wakeUp = wakeUps.get(client) ?? new WakeUp(() => client.$executeRawUnsafe(`NOTIFY "${wakeChannel}"`))
    wakeUps.set(client, wakeUp)
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, patienceMs)
    })
    await Promise.race([wakeUp.sent(), late])
  } catch {
  } finally {
    clearTimeout(timer)
  }
}
