import type { RelayEventSource, RelayEvents } from '../../relay/telemetry.ts'

/** Milliseconds for which it is worth a word that relays have died one after another: as long as their heartbeats are kept. */
const dyingMs = 3_600_000

/** Topics that are kept by name. */
const mostTopics = 1_000

/** What a relay has told about its topics and the tables. Create it before the relay starts. */
export class Standing {
  /** Topics that it has paused, with Kafka's name for the reason. */
  readonly paused = new Map<string, string>()
  /** Messages that it has published since its start, by topic. */
  readonly published = new Map<string, number>()
  readonly #now: () => number
  readonly #leaseMs: number
  #sample: RelayEvents['sampled'] | undefined
  #sampledAt = 0
  #sampleFailed: string | undefined
  /** Since when each sample has found buckets that belong to no relay; undefined while none do. */
  #unownedSince: number | undefined
  #claimed = false
  #diedAt = Number.NEGATIVE_INFINITY
  #disordered = false
  #locked = false
  #kept = 0

  /** `now`: milliseconds on a monotonic clock. */
  constructor(relay: RelayEventSource, leaseMs: number, now: () => number = () => performance.now()) {
    this.#now = now
    this.#leaseMs = leaseMs
    this.#followTopics(relay)
    this.#followTables(relay)
    this.#followAlarms(relay)
  }

  /** The last look at the tables that succeeded; undefined before the first one. */
  get sample(): RelayEvents['sampled'] | undefined {
    return this.#sample
  }

  /** Milliseconds since then. */
  get sampledMsAgo(): number {
    return this.#now() - this.#sampledAt
  }

  /** Code of the failure, where the last look failed. */
  get sampleFailed(): string | undefined {
    return this.#sampleFailed
  }

  /** Buckets have belonged to no relay for longer than a lease time, in each sample since. */
  get unownedLong(): boolean {
    return this.#unownedSince !== undefined && this.#sampledAt - this.#unownedSince > this.#leaseMs
  }

  /** Relays have died one after another, within the last hour. */
  get dying(): boolean {
    return this.#now() - this.#diedAt < dyingMs
  }

  /** A row in a wrong bucket, a changed number of partitions, or a row found late, since the start. */
  get disordered(): boolean {
    return this.#disordered
  }

  /** Somebody has locked rows that the relay must delete or move. */
  get locked(): boolean {
    return this.#locked
  }

  /** Messages that Kafka has acknowledged, and that a trigger or rule keeps. */
  get kept(): number {
    return this.#kept
  }

  #followTopics(relay: RelayEventSource): void {
    relay.on('published', ({ topic, records }) => {
      const before = this.published.get(topic)
      if (before !== undefined || this.published.size < mostTopics) this.published.set(topic, (before ?? 0) + records)
    })
    relay.on('topic_paused', ({ topic, code }) => void this.paused.set(topic, code))
    relay.on('topic_resumed', ({ topic }) => void this.paused.delete(topic))
  }

  #followTables(relay: RelayEventSource): void {
    relay.on('rows_locked', () => {
      this.#locked = true
    })
    relay.on('rows_free', () => {
      this.#locked = false
    })
    relay.on('rows_kept', ({ rows }) => {
      this.#kept = rows
    })
    relay.on('rows_deleted', () => {
      this.#kept = 0
    })
    // What was sampled before this relay took its share shows an outbox without it; the sampler samples at once then.
    relay.on('leases_taken', () => {
      if (!this.#claimed) this.#sample = undefined
      this.#claimed = true
    })
    relay.on('sampled', (sample) => {
      this.#sample = sample
      this.#sampledAt = this.#now()
      this.#unownedSince = sample.leases.expired + sample.leases.free > 0 ? (this.#unownedSince ?? this.#sampledAt) : undefined
      this.#sampleFailed = undefined
    })
    relay.on('sample_failed', ({ code }) => {
      this.#sampleFailed = code
    })
  }

  #followAlarms(relay: RelayEventSource): void {
    const disordered = () => {
      this.#disordered = true
    }
    relay.on('relays_dying', () => {
      this.#diedAt = this.#now()
    })
    relay.on('wrong_bucket', disordered)
    relay.on('partitions_changed', disordered)
    relay.on('row_found_below_position', disordered)
  }
}
