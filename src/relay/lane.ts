import { tracesOf } from '../message/trace.ts'
import { backoff } from '../running/backoff.ts'
import type { Outcome, Transport, TransportRecord } from '../transport/transport.ts'
import type { CarriedRow, Claims } from './claim.ts'
import { Debt } from './debt.ts'
import type { Gate } from './gate.ts'
import type { Hand } from './hand.ts'
import { Queue, type QueueDeps, type RequestLimits } from './queue.ts'
import { toRecord } from './record.ts'
import { Suspects } from './suspects.ts'
import type { Telemetry } from './telemetry.ts'
import { verdict } from './verdict.ts'

/** Limits of a lane. */
export interface LaneLimits extends RequestLimits {
  /** Rows that a lane may have in hand; beyond that it owes. */
  quotaRows: number
}

/** What a lane needs from its surroundings. */
export interface LaneDeps extends QueueDeps {
  transport: Transport
  telemetry: Telemetry
  gate: Gate
  hand: Hand
  claims: Claims
  limits: LaneLimits
  signal: AbortSignal
  /** Takes rows that Kafka has acknowledged. */
  settle: (rows: readonly CarriedRow[]) => void
  /** Takes a row that Kafka refused for good. */
  park: (row: CarriedRow, reason: string, error: string) => void
  /** Room was made after the lane had owed. */
  resume: (owed: Debt) => void
}

/** What a lane tells its topic. */
export interface LaneTopic {
  readonly name: string
  readonly open: boolean
  /**
   * Resolves when the lane may send: at once, or, while the topic finds out whether it takes messages again, when it has or when the turn
   * is this lane's. `probe`: one record only.
   */
  turn(lane: Lane): Promise<'probe' | 'free'>
  /** The lane has no answer to give about the topic: it is another one's turn. */
  pass(lane: Lane): void
  /** Keys refused in a row with that code, none accepted since. */
  refusedKeys(code: string): number
  refused(code: string, row: CarriedRow): void
  /** Whether a record of its key was refused since one was accepted. */
  wasRefused(row: CarriedRow): boolean
  accepted(): void
  pause(code: string, error: string): void
  recheck(): void
  owe(row: CarriedRow): void
}

/**
 * The way of one topic-partition to Kafka: first in, first out, one request outstanding, which takes what has queued up by then, so that
 * batches grow by themselves while the broker is busy. After a record that is not acknowledged nothing later is sent before its outcome
 * is decided.
 */
export class Lane {
  readonly partition: number
  readonly debt = new Debt()
  readonly #topic: LaneTopic
  readonly #deps: LaneDeps
  readonly #suspects: Suspects
  readonly #queue: Queue
  #inFlight = 0
  #attempt = 0
  #running = false
  #idle: (() => void)[] = []

  constructor(topic: LaneTopic, partition: number, deps: LaneDeps) {
    this.partition = partition
    this.#topic = topic
    this.#deps = deps
    this.#suspects = new Suspects(deps.limits.batchRecords)
    this.#queue = new Queue(this.#suspects, deps)
  }

  /** Rows that the lane may still take; 0 while it owes: what comes later must not overtake what it owes. */
  get room(): number {
    if (this.debt.any) return 0
    return Math.max(0, this.#deps.limits.quotaRows - this.#queue.length - this.#inFlight)
  }

  /** Rows waiting to be sent, or on their way. */
  get load(): number {
    return this.#queue.length + this.#inFlight
  }

  push(row: CarriedRow): void {
    this.#queue.push(row)
    if (!this.#running) void this.#run()
  }

  /** Lets go of rows that are not on their way; gives them to the caller, who may owe them. */
  letGo(which: (row: CarriedRow) => boolean): CarriedRow[] {
    const gone = this.#queue.letGo(which)
    for (const row of gone) this.#deps.hand.drop(row)
    return gone
  }

  /** Resolves when no request is outstanding. */
  async idle(): Promise<void> {
    if (this.#inFlight > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  async #run(): Promise<void> {
    this.#running = true
    const { gate, signal } = this.#deps
    while (this.#queue.length > 0 && !signal.aborted) {
      await gate.passable()
      const turn = await this.#topic.turn(this)
      if (signal.aborted) break
      if (turn === 'probe') this.#queue.bringForward((row) => this.#topic.wasRefused(row))
      const batch = this.#queue.next(turn === 'probe' ? 1 : this.#suspects.limit)
      const answer = this.#suspects.answerTo(batch[0])
      if (answer) this.#decide(batch, answer, this.#deps.clock.now())
      else if (batch.length > 0) await this.#send(batch)
      // Their lease ends too soon; it will have been renewed, or lost, in a moment.
      else if (this.#queue.length > 0) await this.#deps.clock.wait(20, signal)
      this.#resumeIfRoom()
    }
    this.#running = false
    this.#topic.pass(this)
    this.#attempt = 0
    gate.trust(this)
  }

  async #send(batch: CarriedRow[]): Promise<void> {
    const { clock } = this.#deps
    const sentAt = clock.now()
    this.#inFlight = batch.length
    const outcome = await this.#publish(batch)
    this.#inFlight = 0
    this.#tell(batch, outcome, sentAt)
    const wait = this.#decide(batch, outcome, sentAt)
    for (const resolve of this.#idle.splice(0)) resolve()
    if (wait > 0) await clock.wait(wait, this.#deps.signal)
  }

  /** Never rejects: nobody waits for a lane, and what it threw would end the process. */
  async #publish(batch: readonly CarriedRow[]): Promise<Outcome> {
    let records: TransportRecord[]
    try {
      records = batch.map(toRecord)
    } catch {
      return { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'It cannot be made a record.' }
    }
    const { transport, limits } = this.#deps
    try {
      return await transport.publish({ topic: this.#topic.name, partition: this.partition, records }, limits.requestTimeoutMs)
    } catch (error) {
      return { kind: 'unknown', code: 'UNEXPECTED', error: error instanceof Error ? error.name : 'The client threw no error.' }
    }
  }

  /** Acts on the outcome; returns the milliseconds to wait before the next request. */
  #decide(batch: CarriedRow[], outcome: Outcome, sentAt: number): number {
    const { gate, random } = this.#deps
    if (outcome.kind === 'acked') {
      this.#acknowledged(batch)
      return 0
    }
    if (outcome.kind === 'unknown') this.#keepBusy(batch, sentAt)
    const { code, error } = outcome
    const next = verdict(outcome, { records: batch.length, refusedKeys: this.#topic.refusedKeys(code) })
    if (next.kind === 'park') {
      this.#refused(batch[0]!, code, error)
      return 0
    }
    this.#putBack(batch)
    switch (next.kind) {
      case 'pause-topic':
        if (outcome.kind === 'not-written' && outcome.scope === 'record') this.#topic.refused(code, batch[0]!)
        this.#topic.pause(code, error)
        return 0
      case 'split':
        this.#suspects.halve(batch.length)
        return 0
      case 'single-out':
        this.#suspects.name(
          next.refused.map((index) => batch[index]!),
          outcome,
        )
        return 0
      case 'again':
        if (next.doubt) gate.doubt(this, code, error)
        else gate.trouble(this, code, error)
        // The partition may be gone, or new to the client.
        if (!next.doubt) this.#topic.recheck()
        // Whether the topic takes messages, another partition may tell sooner.
        this.#topic.pass(this)
    }
    return backoff(++this.#attempt, random(), { firstMs: 50, maxMs: 5_000 })
  }

  /** Rows of unknown outcome may still be appended: the next owner of their buckets must not begin before. */
  #keepBusy(batch: CarriedRow[], sentAt: number): void {
    const { claims, limits } = this.#deps
    for (const row of batch) claims.keepBusy(row.bucket, sentAt + limits.requestTimeoutMs)
  }

  #acknowledged(batch: CarriedRow[]): void {
    this.#attempt = 0
    this.#suspects.cleared(batch.length)
    this.#topic.accepted()
    this.#deps.gate.acknowledged(this)
    this.#deps.settle(batch)
  }

  #refused(row: CarriedRow, code: string, error: string): void {
    this.#suspects.found(row)
    this.#topic.refused(code, row)
    const claim = this.#deps.claims.get(row.bucket)
    // Without a claim nothing may be moved; whoever has the bucket finds the row, and the refusal, by itself.
    if (!claim || claim.leaving) {
      this.#deps.hand.drop(row)
    } else {
      row.claim = claim
      this.#deps.park(row, code, error)
    }
  }

  /**
   * Puts a batch back to the head of the queue. A row whose bucket was lost is let go of; one whose bucket was claimed anew goes on under
   * the new claim: let go of, it would stay behind the rows of its key that were read since.
   */
  #putBack(batch: CarriedRow[]): void {
    const { hand, claims } = this.#deps
    const kept: CarriedRow[] = []
    for (const row of batch) {
      const claim = claims.get(row.bucket)
      if (!claim || claim.leaving || !this.#topic.open) {
        this.#suspects.drop(row)
        if (claim) this.#topic.owe(row)
        hand.drop(row)
      } else {
        row.claim = claim
        kept.push(row)
      }
    }
    this.#queue.putBack(kept)
  }

  #resumeIfRoom(): void {
    if (!this.debt.any || this.load > this.#deps.limits.quotaRows / 2) return
    this.#deps.resume(this.debt)
  }

  #tell(batch: CarriedRow[], outcome: Outcome, sentAt: number): void {
    const { telemetry, clock } = this.#deps
    const what = {
      topic: this.#topic.name,
      partition: this.partition,
      records: batch.length,
      ms: clock.now() - sentAt,
      traces: tracesOf(batch),
    }
    if (outcome.kind !== 'acked') {
      telemetry.emit('publish_failed', { ...what, kind: outcome.kind, code: outcome.code })
      return
    }
    let bytes = 0
    const agesMs: number[] = []
    const now = clock.date()
    for (const row of batch) {
      bytes += row.bytes
      agesMs.push(now - row.createdAt)
    }
    telemetry.emit('published', { ...what, bytes, agesMs })
  }
}
