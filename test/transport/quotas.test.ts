import { expect, it } from 'vitest'
import { Fuse } from '../../src/transport/fuse.ts'
import { Quotas, Throttled } from '../../src/transport/quotas.ts'

const inMs = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

it('without a quota requests go at once, side by side', async () => {
  const quota = new Quotas().of(1)
  await quota.enter([])
  await quota.enter([])
  expect(quota.leftMs).toBe(0)
})

it('while a broker reads nothing, nothing is sent to it; to the others it is', async () => {
  const quotas = new Quotas()
  const request: Fuse[] = []
  await quotas.of(1).enter(request)
  quotas.of(1).leave(request, 80)
  const refused = await quotas
    .of(1)
    .enter([])
    .catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(Throttled)
  expect((refused as Throttled).outcome).toMatchObject({ kind: 'not-written', scope: 'throttled', code: 'THROTTLED' })
  await quotas.of(2).enter([])
  await inMs(90)
  await quotas.of(1).enter([])
})

it('a request that is not read meanwhile gets as much longer', async () => {
  const quota = new Quotas().of(1)
  const [answered, unread] = [[] as Fuse[], [new Fuse(30)]]
  unread[0]!.pass('batch')
  await quota.enter(answered)
  await quota.enter(unread)
  const begun = performance.now()
  quota.leave(answered, 100)
  await unread[0]!.blown
  expect(performance.now() - begun).toBeGreaterThanOrEqual(95)
})

it('after a throttling the broker gets one request at a time, and anyone who waits for it hears of the next one', async () => {
  const quota = new Quotas().of(1)
  const over: Fuse[] = []
  await quota.enter(over)
  quota.leave(over, 1)
  await inMs(5)
  const first: Fuse[] = []
  await quota.enter(first)
  const second = quota.enter([]).catch((error: unknown) => error)
  expect(await Promise.race([second, inMs(20).then(() => 'waits')])).toBe('waits')
  quota.leave(first, 50)
  expect(await second).toBeInstanceOf(Throttled)
})

it('and is throttled, not too late, if that one keeps it waiting for half of its own time', async () => {
  const quota = new Quotas().of(1)
  const over: Fuse[] = []
  await quota.enter(over)
  quota.leave(over, 1)
  await inMs(5)
  await quota.enter([])
  const waiting = new Fuse(200)
  expect(await quota.enter([waiting]).catch((error: unknown) => error)).toBeInstanceOf(Throttled)
  expect(waiting.late).toBe(false)
  waiting.end()
})
