import { topic } from '../examples/orders/events.ts'
import type { Ground } from './ground.ts'
import type { Scene } from './scene.ts'
import { bold, count, dim, green, red, yellow } from './screen.ts'

/** Where there is something to see. */
export function addressLines({ addresses }: Scene): string[] {
  return [`  shop page   ${addresses.shop}`, `  analytics   ${addresses.analytics}`, `  dashboard   ${addresses.dashboard}`]
}

/** What the terminal shows while the shop is at work. */
export function summary(scene: Scene, { server }: Ground, seconds: number): string[] {
  const { customers, consumers, figures, relay } = scene
  const { mail, shipping, myOrders } = consumers
  const { waiting, lag, published, lastLetter } = figures.last
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
    figure('duplicates', mail.copies + shipping.copies + myOrders.copies, 'copies that the inboxes recognized by their id'),
    '',
    dim(`  r ${relay.running ? 'kills' : 'starts'} the relay     ${kafkaKey(scene, server !== undefined)}     q ends the demo`),
  ]
}

function kafkaKey(scene: Scene, ours: boolean): string {
  if (!ours) return '(no key for Kafka: KAFKA_BROKERS names one that is not the demo’s to stop)'
  return `k ${scene.kafkaRuns ? 'stops' : 'starts'} Kafka`
}

/** The same in one line, for logs. */
export function line({ customers, consumers, figures, relay }: Scene, seconds: number): string {
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
