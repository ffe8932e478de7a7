import { setTimeout as wait } from 'node:timers/promises'
import { topic } from '../events.ts'
import { Closing } from './closing.ts'
import { type Ground, prepareGround } from './ground.ts'
import { isKept, judge, type Verdict } from './judge.ts'
import { listenToKeys } from './keys.ts'
import { killAtRandom } from './kills.ts'
import type { DemoOptions } from './options.ts'
import { shortLeaseMs } from './relay.ts'
import { Scene } from './scene.ts'
import { bold, count, dim, green, red, Screen, table, yellow } from './screen.ts'
import { TopicReader } from './topic-reader.ts'

/** Time that the relay has at the end to publish what waits, in ms: the lease of one that was killed must run out first. */
const drainMs = 60_000

/** `npm run demo`: the shop at work. Gives whether every placed order stands in the topic, and no other. */
export async function runShop(options: DemoOptions): Promise<boolean> {
  console.log(dim('Starting PostgreSQL and Kafka …'))
  await using closing = new Closing()
  const ground = await prepareGround(closing)
  console.log(dim('Opening the shop …'))
  const { rate, seconds, chaos } = options
  // Whoever kills relays wants to see them replaced soon; a run that must show no copy keeps the patience of the default.
  const leaseMs = chaos || seconds === undefined ? shortLeaseMs : undefined
  const scene = await Scene.open(ground, { rate, leaseMs }, closing)
  console.log(`\n${addressLines(scene).join('\n')}`)
  await play(scene, ground, options)
  console.log(dim('\nNo more orders. The relay publishes what waits …'))
  await scene.restore()
  const orders = await scene.figures.orders()
  const { mail, shipping, myOrders } = scene.consumers
  await Promise.all([
    mail.reached(orders.length, drainMs),
    shipping.reached(orders.length, drainMs),
    // Each order is heard of twice: when it is placed, and when it is shipped.
    myOrders.reached(2 * orders.length, drainMs),
  ])
  const exitCode = await scene.relay.stop()
  if (exitCode !== 0) console.log(red(scene.relay.failure ?? `The relay ended with ${exitCode} after SIGTERM.`))
  const reader = await TopicReader.open(ground.kafka, [topic], closing)
  await reader.reachEnd()
  const verdict = judge(orders, reader.records(topic))
  return report(verdict, scene) && exitCode === 0
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

function addressLines({ addresses }: Scene): string[] {
  return [`  shop page   ${addresses.shop}`, `  analytics   ${addresses.analytics}`, `  dashboard   ${addresses.dashboard}`]
}

function summary(scene: Scene, { server }: Ground, seconds: number): string[] {
  const { customers, consumers, figures, relay, lastLetter } = scene
  const { mail, shipping, myOrders } = consumers
  const { waiting, lag, published } = figures.last
  const on = green('runs')
  const figure = (name: string, n: number, note = '') => `  ${name.padEnd(11)}${bold(count(n).padStart(9))}  ${dim(note)}`
  const last = lastLetter ? `; last: order ${lastLetter.orderId} to ${lastLetter.customer}` : ''
  return [
    '',
    `  ${bold('The shop')}, ${seconds.toFixed(0)} s     relay ${relay.running ? on : red('killed')}     Kafka ${scene.kafkaRuns ? on : red('stopped')}`,
    '',
    figure('placed', customers.placed, 'orders committed, each with stock, shipping request and message'),
    figure('refused', customers.refused, 'too little stock: rolled back, and never announced'),
    ...(customers.failed > 0 ? [figure('failed', customers.failed, red('the shop did not answer'))] : []),
    figure('waiting', waiting, `messages in the outbox, the oldest for ${yellow(`${lag.toFixed(1)} s`)}`),
    figure('published', published, `records in the topic ${topic}: orders placed, and shipped`),
    figure('consumed', mail.applied, `confirmations of the mail service${last}`),
    figure('shipped', shipping.applied, 'parcels of the shipping service, each answered with an event of its own'),
    figure('my orders', myOrders.applied, 'events in the read model: orders placed and shipped'),
    figure('duplicates', mail.copies + shipping.copies + myOrders.copies, 'copies that the inboxes recognised by their id'),
    '',
    dim(`  r ${relay.running ? 'kills' : 'starts'} the relay     ${kafkaKey(scene, server !== undefined)}     q ends the demo`),
  ]
}

function kafkaKey(scene: Scene, ours: boolean): string {
  if (!ours) return '(no key for Kafka: KAFKA_BROKERS names one that is not the demo’s to stop)'
  return `k ${scene.kafkaRuns ? 'stops' : 'starts'} Kafka`
}

function line({ customers, consumers, figures, relay }: Scene, seconds: number): string {
  const { waiting, lag, published } = figures.last
  const parts = [
    `${seconds.toFixed(0).padStart(4)} s`,
    `placed ${count(customers.placed)}`,
    `refused ${count(customers.refused)}`,
    ...(customers.failed > 0 ? [`failed ${count(customers.failed)}`] : []),
    `waiting ${count(waiting)}`,
    `published ${count(published)}`,
    `consumed ${count(consumers.mail.applied)}`,
    `shipped ${count(consumers.shipping.applied)}`,
    `duplicates ${count(consumers.mail.copies)}`,
    `lag ${lag.toFixed(1)} s`,
    ...(relay.running ? [] : ['relay killed']),
  ]
  return parts.join('  ')
}

function report(verdict: Verdict, { disturbed, customers }: Scene): boolean {
  const { missing, phantom, copies } = verdict
  const kept = isKept(verdict, disturbed)
  const flag = (ids: number[]) =>
    ids.length === 0 ? '' : red(`orders ${ids.slice(0, 8).join(', ')}${ids.length > 8 ? ' …' : ''}`)
  const rows: [string, number, string][] = [
    ['orders in the table', verdict.placed, ''],
    ['orders refused', customers.refused, ''],
    ['records in the topic', verdict.records, ''],
    ['placed, not in the topic', missing.length, flag(missing)],
    ['in the topic, never placed', phantom.length, flag(phantom)],
    ['copies', copies, copies === 0 ? '' : disturbed ? dim('something was killed') : flag(verdict.doubled)],
  ]
  console.log(
    `\n${table(rows.map(([name, n]) => [name, count(n)]))
      .map((text, at) => `${text}   ${rows[at]![2]}`.trimEnd())
      .join('\n')}\n`,
  )
  const good = copies === 0 ? 'exactly once' : 'at least once'
  console.log(
    kept
      ? green(`  Every placed order is in the topic ${good}, and no other.`)
      : red('  The topic does not say what the orders table says.'),
  )
  return kept
}
