import { setTimeout as wait } from 'node:timers/promises'
import { topic } from '../examples/orders/events.ts'
import { Closing } from './closing.ts'
import { areRight, judgeEffects, readEffects } from './effects.ts'
import { type Ground, prepareGround } from './ground.ts'
import { judge } from './judge.ts'
import { listenToKeys } from './keys.ts'
import { killAtRandom } from './kills.ts'
import type { DemoOptions } from './options.ts'
import { shortLeaseMs } from './relay.ts'
import { reportEffects, reportTopic } from './report.ts'
import { Scene } from './scene.ts'
import { dim, red, Screen } from './screen.ts'
import { addressLines, line, summary } from './summary.ts'
import { TopicReader } from './topic-reader.ts'

/** Time that relay and consumers have at the end for what waits, in ms: the lease of a relay that was killed must run out first. */
const drainMs = 60_000

/**
 * `npm run demo`: the shop at work. Gives whether every placed order stands in the topic, and no other, and whether each was confirmed,
 * shipped and listed once.
 */
export async function runShop(options: DemoOptions): Promise<boolean> {
  console.log(dim('Starting PostgreSQL and Kafka …'))
  await using closing = new Closing()
  const ground = await prepareGround(closing)
  console.log(dim('Opening the shop …'))
  const { rate, seconds, chaos } = options
  // Anyone who kills relays wants to see them replaced soon; a run that must show no copy keeps the patience of the default.
  const leaseMs = chaos || seconds === undefined ? shortLeaseMs : undefined
  const scene = await Scene.open(ground, { rate, leaseMs }, closing)
  console.log(`\n${addressLines(scene).join('\n')}`)
  await play(scene, ground, options)
  console.log(dim('\nNo more orders. Relay and consumers take care of what waits …'))
  await scene.restore()
  const orders = await scene.places.shop.order.findMany({ orderBy: { id: 'asc' } })
  const look = async () => judgeEffects(orders, await readEffects(scene.places))
  // A table tells nobody that it is complete: it is asked.
  for (const end = performance.now() + drainMs; performance.now() < end && !areRight(await look()); ) await wait(100)
  const exitCode = await scene.relay.stop()
  if (exitCode !== 0) console.log(red(scene.relay.failure ?? `The relay ended with ${exitCode} after SIGTERM.`))
  const reader = await TopicReader.open(ground.kafka, [topic], closing)
  await reader.reachEnd()
  const announced = reportTopic(judge(orders, reader.records(topic)), scene)
  const done = reportEffects(await look())
  return announced && done && exitCode === 0
}

/** Lets the orders come until the time is over, or the key q. */
async function play(scene: Scene, ground: Ground, { seconds, chaos, seed }: DemoOptions): Promise<void> {
  const began = performance.now()
  const over = new AbortController()
  const end = () => over.abort()
  const timer = seconds === undefined ? undefined : setTimeout(end, seconds * 1_000)
  const keysOff = listenToKeys({ r: () => scene.toggleRelay(), k: () => scene.toggleKafka(), q: end })
  process.once('SIGINT', end).once('SIGTERM', end)
  const killing = chaos ? killAtRandom([[scene.mortalRelay]], { seed, signal: over.signal }) : undefined
  const screen = new Screen()
  scene.customers.start()
  try {
    do {
      await scene.figures.read()
      const elapsed = (performance.now() - began) / 1_000
      screen.show(summary(scene, ground, elapsed), line(scene, elapsed))
      if (scene.relay.failure && !over.signal.aborted) throw new Error(scene.relay.failure)
    } while (await wait(250, true, { signal: over.signal }).catch(() => false))
    await scene.customers.stop()
  } finally {
    end()
    clearTimeout(timer)
    keysOff()
    await killing
  }
}
