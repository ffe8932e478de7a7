import type { Relay } from '../relay/relay.ts'
import type { RelayEventSource } from '../relay/telemetry.ts'
import { watching } from '../running/emitter.ts'
import type { RelayState } from '../store/operator.ts'
import type { Trouble } from '../store/store.ts'

/** What is known about the life of a relay; every time in milliseconds on one monotonic clock. */
export interface Signs {
  /** Last heartbeat; before the first one the start. */
  beatAt: number
  /** Last time that a message moved on, or that one could again. */
  movedAt: number
  /** Since when messages are in flight without a break; undefined while none are. */
  busySince: number | undefined
  /** Since when messages of own buckets are too old, though nothing keeps them back; undefined while none are. */
  lateSince: number | undefined
  /** Since when deletes of acknowledged rows have no effect; undefined while they have. */
  keptSince: number | undefined
  /** Code of the database's trouble, while there is one. */
  databaseTrouble: string | undefined
  /** Code of Kafka's trouble, while there is one. */
  kafkaTrouble: string | undefined
}

/** The health of a relay, for probes and alarms. Each answer is that of the moment. */
export interface RelayHealth {
  /** Whether the relay makes progress, or waits for PostgreSQL or Kafka; a restart helps only if `alive` is false. */
  readonly live: Liveness
  /** Whether it has served the database since its start. */
  readonly served: boolean
  /** Number of topics that it has paused. */
  readonly paused: number
  /** Milliseconds since Kafka last acknowledged a batch; Infinity before the first. */
  readonly ackedMsAgo: number
}

/**
 * Follows the health of a relay. Call it before the relay starts; run `startSampler` too, which finds messages that are too old.
 *
 * @example
 * ```ts
 * const health = relayHealth(relay)
 * server.get('/livez', (_, response) => response.status(health.live.alive ? 200 : 503).json(health.live))
 * ```
 */
export function relayHealth(relay: Relay): RelayHealth {
  return new LivenessCheck(relay, relay.settings.leaseMs)
}

/** Whether the relay is alive, and why. */
export interface Liveness {
  alive: boolean
  why: string
}

/** Milliseconds without a sign of life after which a relay counts as stuck: by then its leases have gone to others. */
export const stallMs = (leaseMs: number): number => Math.max(30_000, 3 * leaseMs)

/**
 * Whether a restart could help. Waiting for PostgreSQL or Kafka is life: a restart would only lose the connections that still work. Stuck
 * is a relay that has stopped looking after its leases, or whose messages do not move though nothing keeps them.
 */
export function liveness(signs: Signs, now: number, afterMs: number): Liveness {
  const { beatAt, movedAt, busySince, lateSince, keptSince, databaseTrouble, kafkaTrouble } = signs
  const longSince = (since: number | undefined) => since !== undefined && now - Math.max(since, movedAt) > afterMs
  const seconds = (since: number) => Math.round((now - since) / 1000)
  if (databaseTrouble !== undefined) return { alive: true, why: `waits for the database (${databaseTrouble})` }
  if (now - beatAt > afterMs) return { alive: false, why: `no heartbeat for ${seconds(beatAt)} s` }
  if (kafkaTrouble !== undefined) return { alive: true, why: `waits for Kafka (${kafkaTrouble})` }
  // What it knows of them keeps it from sending them again: a restart would send all of them.
  if (keptSince !== undefined) return { alive: true, why: 'deletes of acknowledged messages have no effect' }
  if (longSince(busySince)) return { alive: false, why: `messages in flight, and none moved for ${seconds(movedAt)} s` }
  if (longSince(lateSince)) return { alive: false, why: `messages wait, and none moved for ${seconds(movedAt)} s` }
  return { alive: true, why: busySince === undefined ? 'idle' : 'at work' }
}

/** Follows a relay's {@link Signs} by its events. Create it before the relay starts. */
export class LivenessCheck implements RelayHealth {
  readonly #now: () => number
  readonly #afterMs: number
  readonly #paused = new Map<string, string>()
  readonly #signs: Signs
  #format: number | undefined
  #ackedAt = Number.NEGATIVE_INFINITY
  #served = false
  #locked = false
  /** Topics that take nothing and are not told of by name. */
  #missing = 0
  #relays: readonly RelayState[] = []

  /** `now`: milliseconds on a monotonic clock. */
  constructor(source: RelayEventSource, leaseMs: number, now: () => number = () => performance.now()) {
    this.#now = now
    this.#afterMs = stallMs(leaseMs)
    const none = {
      busySince: undefined,
      lateSince: undefined,
      keptSince: undefined,
      databaseTrouble: undefined,
      kafkaTrouble: undefined,
    }
    this.#signs = { beatAt: now(), movedAt: now(), ...none }
    const relay = watching(source)
    this.#followLife(relay)
    this.#followProgress(relay)
    this.#followTrouble(relay)
  }

  get signs(): Readonly<Signs> {
    return this.#signs
  }

  get live(): Liveness {
    return liveness(this.#signs, this.#now(), this.#afterMs)
  }

  /** Whether the relay has served the database yet. */
  get served(): boolean {
    return this.#served
  }

  /** Table format as the sampler found it; undefined before. */
  get format(): number | undefined {
    return this.#format
  }

  /** Milliseconds since Kafka acknowledged something. */
  get ackedMsAgo(): number {
    return this.#now() - this.#ackedAt
  }

  /** Milliseconds since the last heartbeat. */
  get beatMsAgo(): number {
    return this.#now() - this.#signs.beatAt
  }

  /** How many topics are paused. */
  get paused(): number {
    return this.#paused.size + this.#missing
  }

  /** The topics that this relay has paused. */
  get pausedTopics(): Trouble[] {
    return [...this.#paused].map(([topic, code]) => ({ topic, partition: null, code }))
  }

  /** All relays as the sampler found them; empty before. */
  get relays(): readonly RelayState[] {
    return this.#relays
  }

  #followLife(relay: RelayEventSource): void {
    relay.on('heartbeat', ({ inFlight }) => {
      this.#served = true
      this.#signs.beatAt = this.#now()
      this.#signs.busySince = inFlight === 0 ? undefined : (this.#signs.busySince ?? this.#now())
    })
    relay.on('sampled', ({ topics, format, relays }) => {
      this.#format = format
      this.#relays = relays
      // A paused topic's messages have something to wait for, and of locked rows and nameless topics only age is seen.
      const late =
        !this.#locked &&
        this.#missing === 0 &&
        topics.some((one) => (one.ownOldestMs ?? 0) > this.#afterMs && !this.#paused.has(one.topic))
      this.#signs.lateSince = late ? (this.#signs.lateSince ?? this.#now()) : undefined
    })
    relay.on('sample_failed', () => {
      this.#signs.lateSince = undefined
    })
  }

  #followProgress(relay: RelayEventSource): void {
    const moved = () => {
      this.#signs.movedAt = this.#now()
    }
    relay.on('published', () => {
      this.#ackedAt = this.#now()
      moved()
    })
    relay.on('settled', moved)
    relay.on('dead_lettered', moved)
    relay.on('blocked', moved)
    relay.on('redriven', moved)
    relay.on('discarded', moved)
    relay.on('leases_taken', moved)
  }

  #followTrouble(relay: RelayEventSource): void {
    const begins = (of: 'databaseTrouble' | 'kafkaTrouble') => (it: { code: string }) => {
      this.#signs[of] = it.code
    }
    // What was waited for is there: from now on messages can move.
    const ends = (of: 'databaseTrouble' | 'kafkaTrouble') => () => {
      this.#signs[of] = undefined
      this.#signs.movedAt = this.#now()
      this.#signs.beatAt = this.#now()
    }
    relay.on('database_trouble', begins('databaseTrouble'))
    relay.on('database_recovered', ends('databaseTrouble'))
    relay.on('kafka_trouble', begins('kafkaTrouble'))
    relay.on('kafka_recovered', ends('kafkaTrouble'))
    relay.on('rows_locked', () => {
      this.#locked = true
    })
    relay.on('rows_free', () => {
      this.#locked = false
      this.#signs.movedAt = this.#now()
    })
    relay.on('topic_paused', ({ topic, code }) => void this.#paused.set(topic, code))
    relay.on('topic_resumed', ({ topic }) => {
      this.#paused.delete(topic)
      this.#signs.movedAt = this.#now()
    })
    relay.on('rows_kept', () => {
      this.#signs.keptSince ??= this.#now()
    })
    relay.on('rows_deleted', () => {
      this.#signs.keptSince = undefined
      this.#signs.movedAt = this.#now()
    })
    relay.on('topics_missing', ({ topics }) => {
      this.#missing = topics
    })
    relay.on('topics_found', () => {
      this.#missing = 0
      this.#signs.movedAt = this.#now()
    })
  }
}
