import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { RelayEventSource } from '../relay/telemetry.ts'
import { watching } from '../running/emitter.ts'
import { BoundedLabels } from './labels.ts'
import { EachGauge, SingleGauge, sampledMetrics } from './sampled-metrics.ts'

/** Upper bounds in seconds of what a publish may take: half a lease ends it, 5 s by default. */
const publishSeconds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/** Upper bounds in seconds of the time from creation to acknowledgement: milliseconds on a good day, hours after an outage. */
const deliverySeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200]

/** Upper bounds of the records of a request; 1,000 is the most that the relay can be told to send. */
const batchRecords = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000]

/**
 * Keeps metrics of a relay in a registry of their own, which a program that has one already can merge with it. Gauges of the tables come
 * from the sampler, where one runs. Call it before the relay starts. `now`: milliseconds on a monotonic clock.
 *
 * @example
 * ```ts
 * const registry = relayMetrics(relay)
 * await relay.start()
 * console.log(await registry.metrics())
 * ```
 */
export function relayMetrics(source: RelayEventSource, now: () => number = () => performance.now()): Registry {
  const relay = watching(source)
  const registry = new Registry()
  const topics = new BoundedLabels(registry, 'topic', now)
  messageMetrics(relay, registry, topics)
  publishMetrics(relay, registry, topics)
  leaseMetrics(relay, registry)
  troubleMetrics(relay, registry, topics)
  sampledMetrics(relay, { registry, topics, now })
  return registry
}

/** What became of messages. */
function messageMetrics(relay: RelayEventSource, registry: Registry, topics: BoundedLabels): void {
  const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Counter<L>({ name, help, labelNames, registers: [registry] })
  const published = counter('outbox_messages_published_total', 'Messages that Kafka acknowledged.', ['topic'])
  const bytes = counter('outbox_published_bytes_total', 'Bytes of keys, values and headers that Kafka acknowledged.', ['topic'])
  const dead = counter('outbox_messages_dead_lettered_total', 'Messages refused for good.', ['topic', 'reason'])
  const stuck = counter('outbox_dead_letter_failures_total', 'Refused messages that could not be moved in time; tried again.', [
    'topic',
  ])
  const blocked = counter('outbox_messages_blocked_total', 'Messages moved behind a dead one of their key.', ['topic'])
  const redriven = counter('outbox_messages_redriven_total', 'Messages put back by redrive, those behind them included.', [
    'topic',
  ])
  const discarded = counter('outbox_messages_discarded_total', 'Dead messages dropped by discard.', ['topic'])
  const requests = counter('outbox_request_failures_total', 'Redrives and discards that could not be carried out yet.', [
    'action',
  ])
  const late = counter('outbox_rows_found_late_total', 'Rows that only a sweep found: a bug of the relay, nothing is lost.', [])
  const wrong = counter('outbox_wrong_bucket_rows_total', 'Rows in a bucket that does not fit their key: no order.', [])
  const lost = counter('outbox_sequences_lost_total', 'Batches sent again under new numbers, perhaps as copies.', ['topic'])
  const reasons = new BoundedLabels(registry, 'reason')
  relay.on('published', (it) => {
    const topic = topics.of(it.topic)
    published.inc({ topic }, it.records)
    bytes.inc({ topic }, it.bytes)
  })
  relay.on('dead_lettered', (it) => dead.inc({ topic: topics.ofUnproven(it.topic), reason: reasons.of(it.reason) }))
  relay.on('dead_letter_failed', (it) => stuck.inc({ topic: topics.ofUnproven(it.topic) }))
  relay.on('blocked', (it) => blocked.inc({ topic: topics.ofUnproven(it.topic) }, it.rows))
  relay.on('redriven', (it) => redriven.inc({ topic: topics.ofUnproven(it.topic) }, it.rows))
  relay.on('discarded', (it) => discarded.inc({ topic: topics.ofUnproven(it.topic) }))
  relay.on('request_failed', (it) => requests.inc({ action: it.action }))
  relay.on('sequence_lost', (it) => lost.inc({ topic: topics.ofUnproven(it.topic) }))
  relay.on('row_found_below_position', () => late.inc())
  relay.on('wrong_bucket', () => wrong.inc())
}

/** How publishing, reading and deleting go. */
function publishMetrics(relay: RelayEventSource, registry: Registry, topics: BoundedLabels): void {
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name, help, buckets, registers: [registry] })
  const failures = new Counter({
    name: 'outbox_publish_failures_total',
    help: 'Requests that were not acknowledged; kind is not-written or unknown.',
    labelNames: ['topic', 'kind'],
    registers: [registry],
  })
  const duration = histogram('outbox_publish_duration_seconds', 'Time to an acknowledgement of Kafka.', publishSeconds)
  const delivery = new Histogram({
    name: 'outbox_delivery_latency_seconds',
    help: 'Time from the creation of a message to its acknowledgement.',
    labelNames: ['topic'],
    buckets: deliverySeconds,
    registers: [registry],
  })
  const batch = histogram('outbox_batch_messages', 'Messages of one acknowledged request.', batchRecords)
  const fetch = histogram('outbox_fetch_duration_seconds', 'Time of a read of rows.', publishSeconds)
  const settle = histogram('outbox_settle_duration_seconds', 'Time of a delete of acknowledged rows.', publishSeconds)
  relay.on('published', (it) => {
    duration.observe(it.ms / 1000)
    batch.observe(it.records)
    const ofTopic = delivery.labels(topics.of(it.topic))
    // The clocks of database and relay differ: a message from the future counts as new.
    for (const age of it.agesMs) ofTopic.observe(Math.max(0, age) / 1000)
  })
  relay.on('publish_failed', (it) => failures.inc({ topic: topics.ofUnproven(it.topic), kind: it.kind }))
  relay.on('fetched', (it) => fetch.observe(it.ms / 1000))
  relay.on('settled', (it) => settle.observe(it.ms / 1000))
}

/** Which relay this is and what it holds. */
function leaseMetrics(relay: RelayEventSource, registry: Registry): void {
  const counter = (name: string, help: string) => new Counter({ name, help, registers: [registry] })
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers: [registry] })
  const info = new Gauge({
    name: 'outbox_relay_info',
    help: 'Always 1: which relay this is.',
    labelNames: ['name', 'version'],
    registers: [registry],
  })
  const owned = gauge('outbox_leases_owned', 'Buckets whose lease this relay holds.')
  const taken = counter('outbox_leases_taken_total', 'Leases claimed.')
  const released = counter('outbox_leases_released_total', 'Leases given back.')
  const lost = counter('outbox_leases_lost_total', 'Leases that ran out or were taken over.')
  const messages = gauge('outbox_in_flight_messages', 'Messages read and not yet deleted.')
  const bytes = gauge('outbox_in_flight_bytes', 'Bytes of the messages read and not yet acknowledged.')
  const alive = gauge('outbox_relays_alive', 'Relays with a heartbeat within a lease time.')
  const answered = new SingleGauge(
    gauge(
      'outbox_relay_answered_timestamp_seconds',
      'When a broker last answered this relay, before the first answer when it started; seconds since 1970.',
    ),
  )
  const count = (by: Counter) => (it: { buckets: number[]; owned: number }) => {
    by.inc(it.buckets.length)
    owned.set(it.owned)
  }
  relay.on('started', (it) => info.set({ name: it.name, version: it.version }, 1))
  relay.on('leases_taken', count(taken))
  relay.on('leases_released', count(released))
  relay.on('leases_lost', count(lost))
  // A new connection claims the buckets again.
  relay.on('database_trouble', () => {
    owned.set(0)
    // Without heartbeats it would look like trouble of Kafka.
    answered.clear()
  })
  relay.on('stopped', () => answered.clear())
  relay.on('heartbeat', (it) => {
    owned.set(it.owned)
    messages.set(it.inFlight)
    bytes.set(it.inFlightBytes)
    alive.set(it.relays)
    answered.set((Date.now() - it.silentMs) / 1000)
  })
}

/** Which topics are paused: those with a label of their own, and the number of the others. */
class PausedTopics {
  readonly #gauge: EachGauge
  readonly #topics: BoundedLabels
  readonly #paused = new Set<string>()
  #others = 0

  constructor(registry: Registry, topics: BoundedLabels) {
    const help = '1 while this relay has paused the topic, else 0; of the topic "other": how many.'
    const gauge = new Gauge({ name: 'outbox_topic_paused', help, labelNames: ['topic'], registers: [registry] })
    this.#gauge = new EachGauge(gauge, 'topic', topics)
    this.#topics = topics
  }

  add(topic: string): void {
    this.#paused.add(topic)
    this.#set()
  }

  delete(topic: string): void {
    this.#paused.delete(topic)
    this.#set()
  }

  /** How many are paused that are not told of by name. */
  others(count: number): void {
    this.#others = count
    this.#set()
  }

  #set(): void {
    const found = [...this.#paused].map((topic) => ({ label: this.#topics.ofUnproven(topic), count: 1 }))
    if (this.#others > 0) found.push({ label: 'other', count: this.#others })
    this.#gauge.set(
      found,
      ({ label }) => label,
      ({ count }) => count,
    )
  }
}

/** What is in trouble. */
function troubleMetrics(relay: RelayEventSource, registry: Registry, topics: BoundedLabels): void {
  const gauge = (name: string, help: string) => new Gauge({ name, help, registers: [registry] })
  const kafka = gauge('outbox_kafka_trouble', '1 while Kafka does not take messages, else 0.')
  const database = gauge('outbox_database_trouble', '1 while the database does not serve the relay, else 0.')
  const locked = gauge('outbox_lock_trouble', '1 while somebody has locked a row that the relay must delete or move, else 0.')
  const kept = gauge(
    'outbox_kept_messages',
    'Messages that Kafka has acknowledged, and that a trigger or rule keeps in the table.',
  )
  const paused = new PausedTopics(registry, topics)
  const changes = new Counter({
    name: 'outbox_partition_changes_total',
    help: 'Changes of the number of partitions: order across them is not promised.',
    labelNames: ['topic'],
    registers: [registry],
  })
  const refused = new Counter({
    name: 'outbox_http_refused_total',
    help: 'Connections closed before their end, and wrong logins.',
    labelNames: ['reason'],
    registers: [registry],
  })
  relay.on('http_refused', ({ reason }) => refused.inc({ reason }))
  relay.on('rows_locked', () => locked.set(1))
  relay.on('rows_free', () => locked.set(0))
  relay.on('rows_kept', (it) => kept.set(it.rows))
  relay.on('rows_deleted', () => kept.set(0))
  relay.on('kafka_trouble', () => kafka.set(1))
  relay.on('kafka_recovered', () => kafka.set(0))
  relay.on('database_trouble', () => database.set(1))
  relay.on('database_recovered', () => database.set(0))
  relay.on('topic_paused', (it) => paused.add(it.topic))
  relay.on('topic_resumed', (it) => paused.delete(it.topic))
  relay.on('topics_missing', (it) => paused.others(it.topics))
  relay.on('topics_found', () => paused.others(0))
  relay.on('partitions_changed', (it) => changes.inc({ topic: topics.of(it.topic) }))
}
