import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isProgrammingError } from '../../src/running/programming-error.ts'
import { explained } from '../../src/store/postgres/errors.ts'
import { postgresStore } from '../../src/store/postgres/store.ts'
import type { Store, StoreSession } from '../../src/store/store.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { createDatabase, type TestDatabase } from '../support/database.ts'
import { testRelay } from '../support/relay.ts'
import { insertMany } from '../support/rows.ts'

// A programming error is no trouble of a server: trying again would never end.

let database: TestDatabase
beforeEach(async () => {
  database = await createDatabase()
})
afterEach(() => database.drop())

const bugs: [string, () => Error][] = [
  ['a TypeError', () => new TypeError('secret')],
  ['a ReferenceError', () => new ReferenceError('secret')],
  ['a RangeError', () => new RangeError('secret')],
]

/** A store on the real database, with one method of its sessions that throws from its `from`-th call on. */
function broken(method: 'fetch' | 'lastId', thrown: () => Error, from = 1): Store {
  const store = postgresStore({ databaseUrl: database.url })
  let calls = 0
  const spoil = (session: StoreSession): StoreSession =>
    new Proxy(session, {
      get(target, name) {
        const found = Reflect.get(target, name)
        if (typeof found !== 'function') return found
        if (name !== method) return found.bind(target)
        return async (...given: never[]) => {
          if (++calls >= from) throw thrown()
          return found.apply(target, given)
        }
      },
    })
  return { ...store, connect: async (me) => spoil(await store.connect(me)) }
}

describe('a bug in the work of a session', () => {
  test.each(bugs)('%s ends the relay, told once without its message, and is no trouble of the database', async (_, thrown) => {
    await using one = testRelay(database.url, memoryTransport(), {}, { store: broken('fetch', thrown, 3) })
    await one.relay.start()
    await one.until('stopped')
    expect(one.all('internal_error')).toEqual([{ during: 'relay', error: expect.stringContaining(thrown().name) }])
    expect(JSON.stringify(one.told)).not.toContain('secret')
    expect(one.all('database_trouble')).toEqual([])
    expect(one.all('stopped')).toEqual([{ relay: one.relay.id, clean: false }])
  })

  test.each(bugs)('%s rejects the start if the relay has not served yet', async (_, thrown) => {
    const store = postgresStore({ databaseUrl: database.url })
    const connect = () => Promise.reject(thrown())
    await using one = testRelay(database.url, memoryTransport(), {}, { store: { ...store, connect } })
    await expect(one.relay.start()).rejects.toThrow(thrown())
    expect(one.all('database_trouble')).toEqual([])
  })

  test.each(['fetch', 'lastId'] as const)('in %s rejects a drain, which would wait without end', async (method) => {
    await insertMany(database.pool, 'orders', 1, 1)
    await using one = testRelay(database.url, memoryTransport(), {}, { store: broken(method, () => new TypeError('ours')) })
    await expect(one.relay.drain()).rejects.toThrow(new TypeError('ours'))
    await one.until('stopped')
  })
})

test('what a server or network says is tried again', async () => {
  let left = 2
  const failing = () => (left-- > 0 ? Object.assign(new Error('reset'), { code: 'ECONNRESET' }) : new Error('unreachable'))
  const store = postgresStore({ databaseUrl: database.url })
  const connect: Store['connect'] = async (me) => {
    if (left > 0) throw failing()
    return store.connect(me)
  }
  await using one = testRelay(database.url, memoryTransport(), {}, { store: { ...store, connect } })
  await one.relay.start()
  expect(one.all('database_trouble')).toEqual([{ code: 'ECONNRESET', error: 'reset' }])
})

describe('a bug of a transport that is asked for partitions', () => {
  test.each(['partitions', 'allPartitions'] as const)('%s: told once, asked again, and no trouble of Kafka', async (method) => {
    const transport = memoryTransport()
    const asked = transport[method].bind(transport) as never as (...given: unknown[]) => Promise<never>
    let left = 3
    transport[method] = async (...given: unknown[]) => {
      if (left-- > 0) throw new TypeError('secret')
      return asked(...given)
    }
    // More topics than are asked for one by one.
    const topics = method === 'partitions' ? 1 : 150
    for (let n = 0; n < topics; n++) await insertMany(database.pool, `t${n}`, 1, 1)
    await using one = testRelay(database.url, transport)
    await one.relay.start()
    await one.until('published', () => one.all('published').reduce((sum, { records }) => sum + records, 0) === topics)
    expect(one.all('internal_error')).toEqual([{ during: 'asked', error: expect.stringContaining('TypeError') }])
    expect(one.all('kafka_trouble')).toEqual([])
    expect(one.all('topic_paused')).toEqual([])
    expect(JSON.stringify(one.told)).not.toContain('secret')
  })
})

test('a command does not take a bug for a database that is away', () => {
  const bug = Object.assign(new TypeError('x'), { code: 'ERR_INVALID_ARG_TYPE' })
  expect(explained(bug)).toBe(bug)
  expect(explained(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }))).toMatchObject({
    code: 'OUTBOX_DATABASE_UNREACHABLE',
  })
})

test.each<[string, unknown, boolean]>([
  ['a TypeError that the engine throws', caught(() => (undefined as never as { a: string }).a), true],
  ['a TypeError of another realm', Object.assign(new Error('x'), { name: 'TypeError' }), true],
  ['malformed JSON', caught(() => JSON.parse('{')), false],
  ['an error of the network', Object.assign(new Error('x'), { code: 'ECONNRESET' }), false],
  ['an object that is no error', { name: 'TypeError' }, false],
  ['nothing', undefined, false],
])('%s: a programming error? %s → %s', (_, error, expected) => {
  expect(isProgrammingError(error)).toBe(expected)
})

function caught(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    return error
  }
}
