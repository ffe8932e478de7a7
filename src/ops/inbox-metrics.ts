import { Counter, Histogram, Registry } from 'prom-client'
import type { InboxEvents } from '../inbox/telemetry.ts'
import { type Listenable, watching } from '../running/emitter.ts'
import { BoundedLabels } from './labels.ts'

/** Upper bounds in seconds of what a transaction of a consumer may take: 30 s end it, by default. */
const applySeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/**
 * Keeps metrics of a consumer in a registry of their own, which a program can merge with its own. Call it before the consumer runs.
 *
 * @example
 * ```ts
 * const registry = inboxMetrics(inbox)
 * await inbox.run(kafka.consumer({ groupId: 'mail' }))
 * ```
 */
export function inboxMetrics(source: Listenable<InboxEvents>): Registry {
  const inbox = watching(source)
  const registry = new Registry()
  const topics = new BoundedLabels(registry, 'topic')
  const reasons = new BoundedLabels(registry, 'reason')
  const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Counter<L>({ name, help, labelNames, registers: [registry] })
  const labels: ['consumer', 'topic'] = ['consumer', 'topic']
  const applied = counter('inbox_messages_applied_total', 'Messages whose handler ran and committed.', labels)
  const copies = counter('inbox_copies_total', 'Messages that had been taken care of before.', labels)
  const failures = counter('inbox_failures_total', 'Tries that failed; the partition waits after each.', labels)
  const deadLettered = counter('inbox_messages_dead_lettered_total', 'Messages put aside.', [...labels, 'reason'])
  const behind = counter('inbox_messages_blocked_total', 'Messages put behind a dead-lettered one of their key.', labels)
  const redriven = counter('inbox_messages_redriven_total', 'Dead-lettered messages that were applied.', labels)
  const discarded = counter('inbox_messages_discarded_total', 'Dead-lettered messages that were dropped.', labels)
  const pruned = counter('inbox_rows_pruned_total', 'Rows of the inbox that were deleted because they were old.', ['consumer'])
  const crashes = counter('inbox_consumer_crashes_total', 'Times that kafkajs took the consumer away.', ['consumer'])
  const buckets = applySeconds
  const help = 'Time of a transaction with the handlers of a message or batch.'
  const seconds = new Histogram({ name: 'inbox_apply_seconds', help, labelNames: ['consumer'], buckets, registers: [registry] })
  const of = (it: { consumer: string; topic: string }) => ({ consumer: it.consumer, topic: topics.of(it.topic) })
  inbox.on('applied', (it) => {
    applied.inc(of(it), it.messages)
    copies.inc(of(it), it.copies)
    if (it.messages > 0) seconds.observe({ consumer: it.consumer }, it.ms / 1_000)
  })
  inbox.on('apply_failed', (it) => failures.inc(of(it)))
  inbox.on('dead_lettered', (it) => deadLettered.inc({ ...of(it), reason: reasons.of(it.reason) }))
  inbox.on('blocked', (it) => behind.inc(of(it), it.messages))
  inbox.on('redriven', (it) => redriven.inc(of(it), it.messages))
  inbox.on('discarded', (it) => discarded.inc(of(it)))
  inbox.on('inbox_pruned', (it) => pruned.inc({ consumer: it.consumer }, it.rows))
  inbox.on('consumer_crashed', (it) => crashes.inc({ consumer: it.consumer }))
  return registry
}
