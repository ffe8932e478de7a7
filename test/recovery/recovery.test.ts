import { expect, onTestFinished, test } from 'vitest'
import { Ground, measureRecovery } from './recovery.ts'
import { step } from './step.ts'

test('a step that does not end fails with its name and with what is known then', async () => {
  const waiting = step('the broker’s start', new Promise(() => {}), { state: async () => '3 of 64 messages', limitMs: 20 })
  await expect(waiting).rejects.toThrow('Waited 20 ms for the broker’s start. 3 of 64 messages')
})

test('after a relay’s death, and the return of PostgreSQL or the broker, all buckets flow again by themselves', async () => {
  const ground = await Ground.start(3_000)
  onTestFinished(() => ground[Symbol.asyncDispose]())
  const results = await measureRecovery(ground, 1, console.log)
  expect(results.map(({ fault }) => fault)).toEqual([
    'relay SIGKILL',
    'PostgreSQL restart, clean',
    'PostgreSQL restart, immediate',
    'broker restart, SIGTERM',
    'broker restart, SIGKILL',
  ])
  // The limits are for a quiet machine (npm run recovery); here it must happen at all, and not a lease after the other.
  for (const { ms, limitMs } of results) expect(ms[0]).toBeLessThan(5 * limitMs)
  // A relay cannot know of another's death before its lease is over: shorter, and something else was measured.
  expect(results[0]!.ms[0]).toBeGreaterThan(1_000)
}, 180_000)
