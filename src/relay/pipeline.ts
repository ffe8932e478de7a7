import type { Clock } from '../running/clock.ts'
import type { StoreSession } from '../store/store.ts'
import type { Transport } from '../transport/transport.ts'
import { DeadLetters } from './dead-letters/dead-letters.ts'
import { onDeadOf } from './dead-letters/on-dead-letter.ts'
import { Reader, sweepMs } from './fetch/reader.ts'
import { Answers } from './leases/answers.ts'
import { Leases } from './leases/leases.ts'
import { Wake } from './notifications.ts'
import type { RelaySettings } from './options.ts'
import { ClusterBreaker } from './publish/cluster-breaker.ts'
import { Topics } from './publish/topic.ts'
import { troubleOf } from './publish/trouble.ts'
import { Settler } from './settle/settler.ts'
import { type CarriedRow, type Claim, Claims } from './state/claim.ts'
import { InFlight } from './state/in-flight.ts'
import { LockedRows } from './state/locked-rows.ts'
import type { Telemetry } from './telemetry.ts'

/** What the pipeline of a relay need from their surroundings. */
export interface PipelineDeps {
  /** UUID of the relay. */
  id: string
  settings: RelaySettings
  transport: Transport
  clock: Clock
  telemetry: Telemetry
  /** 0 to 1. */
  random: () => number
  /** The end of the relay. */
  signal: AbortSignal
}

/**
 * Milliseconds between two questions for the settled mark, at least: it only saves work, and each costs the database as much as a fetch. What
 * comes above it meanwhile is read over again, by index: a thousand rows are a millisecond.
 */
const markMs = 100

/** Rows of each bucket that a fetch looks at while topics are left out: 64,000 in all, read in a fraction of a second. */
const lookRows = 1_000

/**
 * The pipeline of a message's way, joined: the leases say which buckets are ours, the reader puts their rows into lanes, each lane publishes
 * to one topic-partition, the settler deletes what Kafka has acknowledged, and the dead letters takes refused rows out of the way. Their loops
 * never wait for one another; what they know outlives the database sessions that they work in.
 */
export class Pipeline {
  readonly claims = new Claims()
  readonly inFlight: InFlight
  readonly locked: LockedRows
  readonly topics: Topics
  readonly reader: Reader
  readonly leases: Leases
  readonly #settler: Settler
  readonly #deadLetters: DeadLetters
  readonly #wake: Wake
  readonly #answers: Answers
  readonly #clock: Clock
  #ackedAt: number | undefined

  constructor({ id, settings, transport, clock, telemetry, random, signal }: PipelineDeps) {
    this.#clock = clock
    this.inFlight = new InFlight(settings)
    this.locked = new LockedRows({ clock, telemetry, inFlight: this.inFlight })
    this.#answers = new Answers({ transport, clock, leaseMs: settings.leaseMs })
    const base = { clock, telemetry, inFlight: this.inFlight, locked: this.locked, claims: this.claims }
    const onDeadLetter = (topic: string) => onDeadOf(settings.onDeadLetter, topic)
    const moveBlocked = (row: CarriedRow) => this.#deadLetters.moveBlocked(row)
    const deadLetter = (row: CarriedRow, reason: string, error: string) => this.#deadLetters.deadLetter(row, reason, error)
    this.#wake = new Wake(id, clock)
    this.topics = new Topics({
      ...base,
      transport: this.#answers.transport,
      signal,
      breaker: new ClusterBreaker({ transport: this.#answers.transport, clock, telemetry, signal, random }),
      random,
      onDeadLetter,
      keyless: settings.keyless,
      limits: settings,
      settle: (rows) => this.#acknowledged(rows),
      deadLetter,
      moveBlocked,
      resume: (skippedFrom, gaveUp) => this.reader.resume(skippedFrom, gaveUp),
    })
    this.reader = new Reader({
      ...base,
      topics: this.topics,
      limits: settings,
      maxPollMs: () => this.#wake.maxPollMs,
      markMs,
      lookRows,
      moveBlocked,
      deadLetter,
    })
    this.#settler = new Settler({ ...base, onSettled: () => this.#madeRoom() })
    this.#deadLetters = new DeadLetters({
      ...base,
      onDeadLetter,
      letGo: (which) => this.topics.letGo(which),
      rewind: (claim) => this.reader.rewind(claim),
      lost: (claim) => this.leases.lost(claim),
      requestPollMs: () => this.#wake.requestPollMs,
    })
    this.leases = new Leases({
      ...base,
      leaseMs: settings.leaseMs,
      tickMs: Math.min(1_000, Math.floor(settings.leaseMs / 10)),
      answers: this.#answers,
      trouble: () => troubleOf(this.topics.all),
      ackedAt: () => this.#ackedAt,
      waiting: () => this.topics.waiting,
      onTaken: () => this.#taken(),
      onLeaving: (claims) => this.#letGo(claims),
      onEnded: (claims) => this.#ended(claims),
    })
  }

  /** The loops of one session; they end with `over`, and reading with `reading`. */
  run(session: StoreSession, { reading, over }: { reading: AbortSignal; over: AbortSignal }): Promise<void>[] {
    return [
      this.leases.run(session, over),
      this.reader.run(session, reading),
      this.#settler.run(session, over),
      this.#deadLetters.run(session, over),
      this.#wake.run(session, over),
      this.#answers.run(over),
      this.#sweep(over),
    ]
  }

  /** Takes a notification of the database. */
  notified(payload: string): void {
    this.#wake.notified(payload, { rows: () => this.reader.work.raise(), requests: () => this.#deadLetters.requested() })
  }

  /** Notifications go unheard. */
  unheard(): void {
    this.#wake.lost()
  }

  /** What was known through the connections that are gone is void; rows in flight and acknowledged rows are kept. */
  forget(): void {
    this.leases.forget()
    this.reader.reset()
  }

  /** Reads every bucket from its beginning once in a while, one after the other. Also asks for new partitions. */
  async #sweep(signal: AbortSignal): Promise<void> {
    for (let turn = 0; !signal.aborted; turn++) {
      await this.#clock.wait(sweepMs / 64, signal)
      const claim = this.claims.get(turn % 64)
      if (claim && !claim.leaving && !signal.aborted) this.reader.sweep(claim)
      if (turn % 6 === 0 && !signal.aborted) for (const topic of this.topics.all) topic.recheck()
    }
  }

  #acknowledged(rows: readonly CarriedRow[]): void {
    this.#ackedAt = this.#clock.now()
    this.#settler.add(rows)
  }

  #madeRoom(): void {
    this.reader.work.raise()
    this.leases.check()
  }

  /** New buckets: there may be rows to read, and requests that nobody was there to hear of. */
  #taken(): void {
    this.reader.work.raise()
    this.#deadLetters.requested()
  }

  #letGo(claims: readonly Claim[]): void {
    const going = new Set(claims)
    this.topics.letGo((row) => going.has(row.claim))
    this.reader.invalidate()
  }

  #ended(claims: readonly Claim[]): void {
    this.#letGo(claims)
    const over = new Set(claims)
    this.#deadLetters.forget((row) => over.has(row.claim))
    for (const claim of claims) this.locked.over(claim)
  }
}
