import { Counter, Gauge, type Registry } from 'prom-client'
import type { RelayEventSource } from '../relay/telemetry.ts'
import { BoundedLabels } from './labels.ts'

/**
 * Gauges of the outbox's tables, from the sampler. While a look fails there are none: an old figure would look like a good one. `now`:
 * milliseconds on a monotonic clock.
 */
export function sampledMetrics(
  relay: RelayEventSource,
  { registry, topics, now }: { registry: Registry; topics: BoundedLabels; now: () => number },
): void {
  const single = (name: string, help: string) => new SingleGauge(new Gauge({ name, help, registers: [registry] }))
  const each = (name: string, help: string, label: string, names?: BoundedLabels) =>
    new EachGauge(new Gauge({ name, help, labelNames: [label], registers: [registry] }), label, names)
  const backlog = single('outbox_backlog_messages', 'Messages that wait for Kafka.')
  const estimated = single('outbox_backlog_estimated', '1 while the backlog is an estimate: more than 10,000 wait. Else 0.')
  const lag = each(
    'outbox_lag_seconds',
    'Age of the oldest message, among the first 160 waiting in each bucket.',
    'topic',
    topics,
  )
  const leases = each('outbox_leases', 'Leases of all relays; state is held, expired or free.', 'state')
  const dead = each('outbox_dead_messages', 'Messages refused for good, counted to 10,000.', 'reason')
  const behind = single('outbox_blocked_messages', 'Messages that wait behind a dead one, counted to 10,000.')
  const blocked = single('outbox_blocked_keys', 'Keys with dead messages: what is enqueued for them waits.')
  const transaction = single('outbox_oldest_transaction_seconds', 'Age of the oldest transaction that holds dead rows back.')
  const deadRows = single('outbox_dead_row_ratio', 'Share of dead rows in the table outbox, 0 to 1.')
  const inDoubt = single(
    'outbox_recorded_batch_age_seconds',
    'Age of the oldest recorded batch that Kafka has not acknowledged; 0: none. Only in the exactly-once mode.',
  )
  const duration = single('outbox_sample_duration_seconds', 'Time of the last look at the tables.')
  const age = new AgeGauge('outbox_sample_age_seconds', 'Time since the last look at the tables that succeeded.', registry, now)
  const failures = new Counter({
    name: 'outbox_sample_failures_total',
    help: 'Looks at the tables that failed.',
    registers: [registry],
  })
  const reasons = new BoundedLabels(registry, 'reason')
  const clear = () => {
    for (const gauge of [backlog, estimated, lag, leases, dead, behind, blocked, transaction, deadRows, inDoubt, duration])
      gauge.clear()
  }
  relay.on('sampled', (it) => {
    backlog.set(it.backlog.messages)
    estimated.set(it.backlog.exact ? 0 : 1)
    // Many topics may share the label `other`: the oldest counts.
    lag.set(
      it.topics,
      (one) => topics.ofUnproven(one.topic),
      (one) => one.oldestMs / 1000,
      Math.max,
    )
    leases.set(
      Object.entries(it.leases),
      ([state]) => state,
      ([, n]) => n,
    )
    dead.set(
      Object.entries(it.dead.byReason),
      ([reason]) => reasons.of(reason),
      ([, n]) => n,
    )
    behind.set(it.dead.blocked)
    blocked.set(it.blockedKeys)
    if (it.oldestTransactionMs === null) transaction.clear()
    else transaction.set(it.oldestTransactionMs / 1000)
    deadRows.set(it.deadRowShare)
    if (it.exactlyOnce === null) inDoubt.clear()
    else inDoubt.set((it.exactlyOnce.oldestMs ?? 0) / 1000)
    duration.set(it.ms / 1000)
    age.begin()
  })
  relay.on('sample_failed', () => {
    clear()
    age.begin({ unlessBegun: true })
    failures.inc()
  })
  relay.on('stopped', () => {
    clear()
    age.end()
  })
}

/** A gauge without labels that has no value until it gets one: prom-client's begins with 0. */
export class SingleGauge {
  readonly #gauge: Gauge

  constructor(gauge: Gauge) {
    this.#gauge = gauge
    this.clear()
  }

  set(value: number): void {
    this.#gauge.set(value)
  }

  clear(): void {
    this.#gauge.remove()
  }
}

/**
 * The time since something, worked out when it is asked for: it goes on where nothing is told any more, which is what it is there to show.
 * It has no value before it begins: who runs no sampler has no sample that could be old.
 */
class AgeGauge {
  readonly #now: () => number
  #since: number | undefined

  constructor(name: string, help: string, registry: Registry, now: () => number) {
    this.#now = now
    const gauge = new Gauge({
      name,
      help,
      registers: [registry],
      collect: () => {
        if (this.#since === undefined) gauge.remove()
        else gauge.set((this.#now() - this.#since) / 1000)
      },
    })
  }

  begin({ unlessBegun = false } = {}): void {
    if (!unlessBegun || this.#since === undefined) this.#since = this.#now()
  }

  end(): void {
    this.#since = undefined
  }
}

/** A gauge with one label. A label that is found no more becomes 0, so that graphs and alerts see it end. */
export class EachGauge {
  readonly #gauge: Gauge
  readonly #label: string
  readonly #names: BoundedLabels | undefined
  readonly #known = new Set<string>()

  /** `names`: who gives labels, and takes them away again. */
  constructor(gauge: Gauge, label: string, names?: BoundedLabels) {
    this.#gauge = gauge
    this.#label = label
    this.#names = names
  }

  set<T>(
    found: readonly T[],
    label: (one: T) => string,
    value: (one: T) => number,
    merge: (a: number, b: number) => number = (a, b) => a + b,
  ): void {
    for (const name of this.#known) if (name !== 'other' && this.#names?.has(name) === false) this.#known.delete(name)
    const values = new Map([...this.#known].map((name) => [name, 0]))
    for (const one of found) values.set(label(one), merge(values.get(label(one)) ?? 0, value(one)))
    for (const [name, merged] of values) {
      this.#known.add(name)
      this.#gauge.set({ [this.#label]: name }, merged)
    }
  }

  clear(): void {
    this.#gauge.reset()
  }
}
