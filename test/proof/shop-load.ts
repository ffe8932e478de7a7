import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { outbox } from '../../src/index.ts'
import { PrismaClient } from '../enqueue/generated/client/client.ts'
import type { LogRecord } from '../support/topics.ts'

/** Load as an application makes it: orders in transactions, each with its message, some rolled back on purpose. */
export interface ShopLoad {
  /** Milliseconds of each enqueue so far. */
  enqueueMs: number[]
  /** Errors that were not rolled back on purpose. */
  failures: unknown[]
  /** Transactions ended so far, rolled back ones included. */
  done(): number
  /** Resolves when all transactions have ended. */
  finished: Promise<void>
  /** Ends the load early. */
  stop(): void
}

/** What a load looks like. */
export interface LoadPlan {
  databaseUrl: string
  topic: string
  /** Transactions in all. */
  transactions: number
  writers: number
  keys: number
  /** Every so many-th transaction rolls back after its enqueue. */
  rollbackEvery: number
  /** Milliseconds between two transactions of a writer. */
  pauseMs?: number
}

class RolledBackOnPurpose extends Error {}

/**
 * Writers with keys of their own, so that the commits of a key follow one another: message n of a key is enqueued after the commit of n - 1.
 * The order row is the ledger: customer is the key, total the number of the message within its key.
 */
export function startShopLoad(plan: LoadPlan): ShopLoad {
  const pool = new pg.Pool({ connectionString: plan.databaseUrl, max: plan.writers })
  pool.on('error', () => {})
  // Prisma's adapter listens for errors only while a transaction has the connection: between checkout and BEGIN, and between the end and
  // the release, a server that goes down would end this process.
  pool.on('connect', (client) => client.on('error', () => {}))
  const prisma = new PrismaClient({ adapter: new PrismaPg(pool, { disposeExternalPool: true }) }).$extends(outbox())
  const enqueueMs: number[] = []
  const failures: unknown[] = []
  let started = 0
  let done = 0
  let stopped = false

  const place = async (key: string, n: number, rollback: boolean): Promise<boolean> => {
    try {
      await prisma.$transaction(async (tx) => {
        const order = await tx.order.create({ data: { customer: key, total: n } })
        const before = performance.now()
        await tx.outbox.enqueue({ topic: plan.topic, key, payload: { order: order.id, n } })
        enqueueMs.push(performance.now() - before)
        if (rollback) throw new RolledBackOnPurpose()
      })
      return true
    } catch (error) {
      if (!(error instanceof RolledBackOnPurpose)) failures.push(error)
      return false
    } finally {
      done++
    }
  }

  const writer = async (mine: number): Promise<void> => {
    const keys = Array.from({ length: plan.keys }, (_, key) => key).filter((key) => key % plan.writers === mine)
    const next = new Map<number, number>()
    for (let turn = 0; started < plan.transactions && !stopped; turn++) {
      const number = started++
      const key = keys[turn % keys.length]!
      const n = next.get(key) ?? 1
      const committed = await place(`key-${key}`, n, number % plan.rollbackEvery === plan.rollbackEvery - 1)
      if (committed) next.set(key, n + 1)
      if (plan.pauseMs) await new Promise((resolve) => setTimeout(resolve, plan.pauseMs))
    }
  }

  const finished = Promise.all(Array.from({ length: plan.writers }, (_, mine) => writer(mine))).then(() => prisma.$disconnect())
  return {
    enqueueMs,
    failures,
    done: () => done,
    finished,
    stop() {
      stopped = true
    },
  }
}

/** What the topic shows, held against the ledger. */
export interface Judgement {
  committed: number
  records: number
  lost: number
  phantom: number
  duplicates: number
  /** First occurrences of a key that come before an earlier message of the key. */
  inversions: number
}

/** Compares the whole topic with the committed orders. */
export function judge(orders: readonly { customer: string; total: string }[], records: readonly LogRecord[]): Judgement {
  const committed = new Set(orders.map((order) => `${order.customer}/${Number(order.total)}`))
  const seen = new Map<string, number>()
  const last = new Map<string, number>()
  let inversions = 0
  for (const record of records) {
    const key = String(record.key)
    const { n } = JSON.parse(String(record.value)) as { n: number }
    const name = `${key}/${n}`
    const times = seen.get(name) ?? 0
    seen.set(name, times + 1)
    if (times > 0) continue
    if (n < (last.get(key) ?? 0)) inversions++
    last.set(key, Math.max(n, last.get(key) ?? 0))
  }
  return {
    committed: committed.size,
    records: records.length,
    lost: [...committed].filter((name) => !seen.has(name)).length,
    phantom: [...seen.keys()].filter((name) => !committed.has(name)).length,
    duplicates: records.length - seen.size,
    inversions,
  }
}
