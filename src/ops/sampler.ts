import type { Relay } from '../relay/relay.ts'
import { telemetryOf } from '../relay/telemetry.ts'
import type { Operator } from '../store/operator.ts'
import { postgresOperator } from '../store/postgres/operator.ts'

/** Settings of {@link startSampler}. */
export interface SamplerOptions {
  /** `postgresql://…`, as the relay's. */
  databaseUrl: string
  /** PostgreSQL schema of the outbox tables. Default: the URL's `schema` parameter, else `public`. */
  schema?: string | undefined
  /** Prefix of the outbox tables, as the relay's. @default '' */
  tablePrefix?: string | undefined
  /**
   * Milliseconds between two looks, at least.
   * @default 5000
   */
  intervalMs?: number | undefined
}

/** Milliseconds that one statement of a look may take. */
const statementTimeoutMs = 2_000

/** Share of the time that looks may take: an ordinary look costs the database no more than this of one core, however much waits there. */
export const samplerShare = 0.02

/**
 * Milliseconds to the next look, at most. A look reads a bounded number of rows and works for tens of milliseconds; one that took more than
 * a fiftieth of this has waited, for a CPU or a lock. Waiting costs the database nothing, but it is when gauges are needed: they would tell
 * of a lag minutes after it is over, or of none while one begins.
 */
export const longestRestMs = 30_000

/** Milliseconds from the end of a look to the next. */
export const restMs = (tookMs: number, intervalMs: number): number =>
  Math.max(intervalMs, Math.min(longestRestMs, tookMs / samplerShare - tookMs))

/**
 * Looks at the outbox's tables again and again, on a connection of its own, and lets the relay emit `sampled` or `sample_failed`. The relay does not wait for it, and does not notice when it fails. Returns what ends it.
 *
 * @example
 * ```ts
 * const stop = startSampler(relay, { databaseUrl: process.env.DATABASE_URL! })
 * ```
 */
export function startSampler(relay: Relay, options: SamplerOptions): () => void {
  const sampler = new Sampler(relay, options)
  void sampler.run()
  return () => sampler.stop()
}

class Sampler {
  readonly #relay: Relay
  readonly #options: SamplerOptions
  #operator: Operator | undefined
  #stopped = false
  #timer: NodeJS.Timeout | undefined
  #sampling = false
  /** Whether the sample under way is older than the relay's first claim. */
  #outdated = false

  constructor(relay: Relay, options: SamplerOptions) {
    this.#relay = relay
    this.#options = options
    const forget = telemetryOf(relay).on('leases_taken', () => {
      forget()
      this.#renew()
    })
  }

  /** Once, when the relay takes its first buckets: what was sampled before tells of an outbox that nobody serves. */
  #renew(): void {
    this.#outdated = this.#sampling
    if (this.#sampling || this.#stopped) return
    clearTimeout(this.#timer)
    void this.run()
  }

  async run(): Promise<void> {
    this.#sampling = true
    const { id } = this.#relay
    const telemetry = telemetryOf(this.#relay)
    let since = performance.now()
    try {
      const { databaseUrl, schema, tablePrefix } = this.#options
      this.#operator ??= await postgresOperator({ databaseUrl, schema, tablePrefix, timeoutMs: statementTimeoutMs })
      // Connecting is rare, and waiting for the network costs the database nothing.
      since = performance.now()
      const sample = await this.#operator.sample(id)
      if (!this.#stopped) telemetry.emit('sampled', { ...sample, ms: performance.now() - since })
    } catch (error) {
      this.#close()
      if (!this.#stopped) telemetry.emit('sample_failed', { code: (error as { code?: string }).code ?? 'UNKNOWN' })
    }
    this.#sampling = false
    if (this.#stopped) return this.#close()
    if (this.#outdated) return this.#renew()
    const rest = restMs(performance.now() - since, this.#options.intervalMs ?? 5_000)
    // Metrics alone are no reason for a process to live.
    this.#timer = setTimeout(() => void this.run(), rest).unref()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#close()
  }

  #close(): void {
    this.#operator?.close()
    this.#operator = undefined
  }
}
