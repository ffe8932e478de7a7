import { randomUUID } from 'node:crypto'
import { afterAll } from 'vitest'
import { postgresStore } from '../../src/store/postgres/store.ts'
import type { Fetch, Identity, StoreSession } from '../../src/store/store.ts'
import { useDatabase } from '../support/database.ts'

/** Sessions of relays with one database. Hooks make it, empty its tables before each test, and close all in the end. */
export class Sessions {
  readonly database = useDatabase('emptied')
  readonly #open: StoreSession[] = []

  constructor() {
    afterAll(async () => {
      for (const session of this.#open) await session.close()
    })
  }

  /** The session of another relay. */
  async connect(leaseMs = 10_000, url = this.database.url, exactlyOnce = false): Promise<StoreSession & { me: Identity }> {
    const me = { id: randomUUID(), name: `relay-${this.#open.length}`, version: '0.0.0', leaseMs, exactlyOnce }
    const session = await postgresStore({ databaseUrl: url }).connect(me)
    this.#open.push(session)
    return Object.assign(session, { me })
  }
}

/** A fetch of all buckets from their beginning. */
export const all = (more: Partial<Fetch> = {}): Fetch => ({
  scans: Array.from({ length: 64 }, (_, bucket) => ({ bucket, after: 0, limit: 1000, look: 1000 })),
  limit: 1000,
  withoutTopics: [],
  withoutIds: [],
  maxRowBytes: 1_000_000,
  maxBytes: 64_000_000,
  ...more,
})
