import { EventEmitter, once } from 'node:events'
import { expect, test } from 'vitest'
import { WakeUp } from '../../src/enqueue/wake-up.ts'

test('a wake-up that waits for its turn does not keep the process alive', async () => {
  const wakeUp = new WakeUp(async () => {})
  const timers = () => process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length
  const before = timers()
  wakeUp.request()
  await new Promise((resolve) => setImmediate(resolve))
  wakeUp.request()
  expect(timers()).toBe(before)
})

test('requests while one is on its way become one more', async () => {
  const onTheirWay: (() => void)[] = []
  const sending = new EventEmitter()
  const wakeUp = new WakeUp(
    () =>
      new Promise<void>((arrive) => {
        onTheirWay.push(arrive)
        sending.emit('sending')
      }),
  )
  for (let i = 0; i < 10; i++) wakeUp.request()
  expect(onTheirWay).toHaveLength(1)
  const second = once(sending, 'sending')
  onTheirWay[0]!()
  await second
  for (let i = 0; i < 10; i++) wakeUp.request()
  onTheirWay[1]!()
  await wakeUp.quiet()
  expect(onTheirWay).toHaveLength(2)
})
