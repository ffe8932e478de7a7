import type { EventEmitter } from 'node:events'
import { createRequire } from 'node:module'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, describe, expect, inject, it, vi } from 'vitest'
import { kafkajsTransport } from '../../../src/transport/kafkajs/kafkajs.ts'
import { quietKafkajsTimers } from '../../../src/transport/kafkajs/timers.ts'
import { createTopic } from '../../support/topics.ts'
import { record } from '../conformance.ts'

/** As much of kafkajs' own class as these tests use. */
interface RequestQueue extends EventEmitter {
  throttledUntil: number
  push(request: object): void
  maybeThrottle(ms: number): void
  scheduleRequestTimeoutCheck(): void
  destroy(): void
}
const require = createRequire(import.meta.url)
const Queue = require('kafkajs/src/network/requestQueue') as new (options: object) => RequestQueue

const queues: RequestQueue[] = []
function queue(options: object = {}): RequestQueue {
  quietKafkajsTimers()
  const logger = { debug() {}, warn() {} }
  const made = new Queue({
    maxInFlightRequests: null,
    requestTimeout: 1_000,
    clientId: 'test',
    broker: 'test',
    logger,
    ...options,
  })
  queues.push(made)
  return made
}

/** Pushes a request; resolves with the time at which it was sent, rejects when it times out. */
function push(to: RequestQueue, correlationId: number): { sent: Promise<number>; failed: Promise<Error> } {
  let fail!: (error: Error) => void
  const failed = new Promise<Error>((resolve) => {
    fail = resolve
  })
  const sent = new Promise<number>((resolve) => {
    const entry = { correlationId, apiKey: 0, apiName: 'Produce', apiVersion: 7, resolve() {}, reject: fail }
    to.push({ entry, expectResponse: true, sendRequest: () => resolve(Date.now()) })
  })
  return { sent, failed }
}

afterEach(() => {
  vi.restoreAllMocks()
  for (const made of queues.splice(0)) made.destroy()
})

describe('the timers of kafkajs', () => {
  it('an idle connection sets none', async () => {
    const transport = kafkajsTransport({ brokers: inject('brokers').split(',') })
    const topic = await createTopic('idle', 1)
    const publish = () => transport.publish({ topic, partition: 0, records: [record('k', 'v')] }, 10_000)
    expect((await publish()).kind).toBe('acked')
    const [timeouts, intervals] = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'setInterval')]
    // Unpatched it would be some 200 times.
    await wait(250)
    expect([timeouts.mock.calls.length, intervals.mock.calls.length]).toEqual([0, 0])
    vi.restoreAllMocks()
    expect((await publish()).kind).toBe('acked')
    await transport.close()
  })

  it('a throttled queue sends what waits when the throttling is over', async () => {
    const throttled = queue()
    throttled.maybeThrottle(80)
    const until = throttled.throttledUntil
    expect(await push(throttled, 1).sent).toBeGreaterThanOrEqual(until)
  })

  it('a throttling that grows while something waits is kept', async () => {
    const throttled = queue()
    throttled.maybeThrottle(30)
    const { sent } = push(throttled, 1)
    throttled.maybeThrottle(120)
    const until = throttled.throttledUntil
    expect(await sent).toBeGreaterThanOrEqual(until)
  })

  it('a request without an answer still times out where time-outs are enforced', async () => {
    const enforced = queue({ requestTimeout: 20, enforceRequestTimeout: true })
    enforced.scheduleRequestTimeoutCheck()
    const { failed } = push(enforced, 1)
    expect((await failed).name).toBe('KafkaJSRequestTimeoutError')
  })

  it('can be quieted again and again', () => {
    expect([quietKafkajsTimers(), quietKafkajsTimers()]).toEqual([true, true])
  })
})
