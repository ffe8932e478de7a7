import { backoff } from '../../running/backoff.ts'
import type { Outcome } from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'
import type { CarriedRow } from '../state/claim.ts'
import { SkippedFrom } from '../state/skipped-from.ts'
import { Bisection } from './bisection.ts'
import type { ClusterBreaker } from './cluster-breaker.ts'
import { type Failure, Patience } from './patience.ts'
import type { Refusals } from './refusals.ts'
import { bugCode, Request } from './request.ts'
import { bytesOf, Queue } from './send-queue.ts'
import { verdict } from './verdict.ts'

/** Milliseconds over which lanes that were throttled together come back. */
const spreadMs = 100

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
  readonly refusals: Refusals
  accepted(): void
  pause(code: string, error: string): void
  recheck(): void
  skip(row: CarriedRow): void
}

/**
 * The way of one topic-partition to Kafka: first in, first out, one request outstanding, which takes what has queued up by then, so that
 * batches grow by themselves while the broker is busy. After a record that is not acknowledged nothing later is sent before its outcome
 * is decided.
 *
 * A lane is stuck when its batch has no decided outcome after the first retry. It keeps that batch, drops and skips everything else, and
 * resumes once the batch is decided (rule 8), so that trouble of one partition costs the others neither room nor time.
 * Keeps rules 1, 2 and 3 of docs/protocol.md.
 */
export class Lane {
  readonly partition: number
  readonly skippedFrom = new SkippedFrom()
  readonly #topic: LaneTopic
  readonly #context: RelayContext
  readonly #breaker: ClusterBreaker
  readonly #bisection: Bisection
  readonly #queue: Queue
  /** The batch on its way. */
  #request: Request | undefined
  /** The batch at the head of the queue that was sent and has no decided outcome. */
  #undecided: readonly CarriedRow[] = []
  /** How it failed the last time. */
  #failure: Failure | undefined
  readonly #patience: Patience
  /** Times that it failed, one after another. */
  #attempt = 0
  #stuck = false
  /** Rows were dropped, or skipped while stuck, since the last resume. */
  #gaveUp = false
  /** When an outcome was last decided, or the lane began to wait for one. */
  #movedAt = 0
  /** Kafka as a whole is being waited for: dropping rows would help nobody. */
  #waitsForBreaker = false
  #running = false
  #idle: (() => void)[] = []

  constructor(topic: LaneTopic, partition: number, context: RelayContext, breaker: ClusterBreaker) {
    this.partition = partition
    this.#topic = topic
    this.#context = context
    this.#breaker = breaker
    this.#patience = new Patience(context.settings.requestTimeoutMs)
    this.#bisection = new Bisection(context.settings.batchRecords)
    this.#queue = new Queue(this.#bisection, context)
  }

  /**
   * Code of the last failure while the lane is stuck, for the heartbeat. While no broker answers at all it is not this partition's trouble.
   */
  get stuckBy(): string | undefined {
    const failure = this.#stuck ? this.#failure : undefined
    if (!failure || (failure.kind === 'not-written' && failure.scope === 'producer' && this.#breaker.closed)) return undefined
    return failure.code
  }

  /**
   * Rows that the lane may still take; 0 while it skips: what comes later must not overtake what it skips. An empty lane takes one whatever
   * the others have: nothing would make it resume.
   */
  get room(): number {
    if (this.skippedFrom.any || this.#stuck) return 0
    if (this.load === 0) return Math.max(1, this.#context.state.inFlight.shareRows)
    if (this.#bytes >= this.#context.state.inFlight.shareBytes) return 0
    return Math.max(0, this.#context.state.inFlight.shareRows - this.load)
  }

  /** Whether it keeps one batch and skips the rest. */
  get stuck(): boolean {
    return this.#stuck
  }

  /** Rows waiting to be sent, or on their way. */
  get load(): number {
    return this.#queue.length + this.#flying.length
  }

  get #flying(): readonly CarriedRow[] {
    return this.#request?.rows ?? []
  }

  get #bytes(): number {
    return this.#queue.bytes + (this.#request?.bytes ?? 0)
  }

  push(row: CarriedRow): void {
    if (this.load === 0) this.#movedAt = this.#context.clock.now()
    this.#queue.push(row)
    if (!this.#running) void this.#run()
  }

  /** Lets go of rows that are not on their way; gives them to the caller, who may skip them. */
  letGo(which: (row: CarriedRow) => boolean): CarriedRow[] {
    if (this.#request?.rows.some(which)) this.#request.endWait()
    const gone = this.#queue.letGo(which)
    for (const row of gone) this.#context.state.inFlight.drop(row)
    return gone
  }

  /** Others need room: a lane that does not progress gives up what it has not sent, as a stuck one does. */
  yieldRoom(): void {
    if (this.#stuck || this.#waitsForBreaker || this.#queue.length === 0) return
    if (this.#attempt > 0 || this.#context.clock.now() - this.#movedAt > this.#patience.slowMs) this.#becomeStuck()
  }

  /** Resolves when no request is outstanding. */
  async idle(): Promise<void> {
    if (this.#request) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  async #run(): Promise<void> {
    this.#running = true
    const { clock, signal } = this.#context
    const breaker = this.#breaker
    while (this.#queue.length > 0 && !signal.aborted) {
      this.#waitsForBreaker = true
      await breaker.passable()
      this.#waitsForBreaker = false
      const turn = await this.#topic.turn(this)
      if (signal.aborted) break
      if (turn === 'probe') this.#queue.bringForward((row) => this.#topic.refusals.has(row))
      const batch = this.#queue.next(turn === 'probe' || this.#isTentative ? 1 : this.#bisection.limit)
      const answer = this.#bisection.answerTo(batch[0])
      if (answer) this.#decide(batch, answer, this.#context.clock.now())
      else if (batch.length > 0) await this.#send(batch)
      // Their lease ends too soon; it will have been renewed, or lost, in a moment.
      else if (this.#queue.length > 0) await clock.wait(20, signal)
      this.#resumeIfRoom()
    }
    this.#running = false
    this.#topic.pass(this)
    this.#decided()
    breaker.trust(this)
    // Where all that it kept was let go of, nothing else would make it resume.
    this.#resumeIfRoom()
  }

  async #send(batch: CarriedRow[]): Promise<void> {
    const { clock, signal } = this.#context
    const request = new Request(batch, { topic: this.#topic.name, partition: this.partition }, this.#context)
    this.#request = request
    const how = { alone: this.#patience.alone(this.#failure, this.#stuck), waitMs: this.#patience.waitMs }
    const outcome = await request.outcome(how, this.#failure?.code)
    this.#request = undefined
    this.#patience.learn(outcome, clock.now() - request.sentAt, this.#isTentative)
    const wait = this.#decide(batch, outcome, request.sentAt)
    for (const resolve of this.#idle.splice(0)) resolve()
    if (wait > 0) await clock.wait(wait, signal)
  }

  /** Acts on the outcome; returns the milliseconds to wait before the next request. */
  #decide(batch: CarriedRow[], outcome: Outcome, sentAt: number): number {
    const { random } = this.#context
    const breaker = this.#breaker
    if (outcome.kind === 'acked') {
      this.#acknowledged(batch)
      return 0
    }
    if (outcome.kind === 'unknown') this.#keepBusy(batch, sentAt)
    const { code, error } = outcome
    const next = verdict(outcome, { records: batch.length, refusedKeys: this.#topic.refusals.count(code) })
    if (next.kind === 'dead-letter') {
      this.#refused(batch[0]!, code, error)
      return 0
    }
    const kept = this.#putBack(batch)
    switch (next.kind) {
      case 'pause-topic':
        if (outcome.kind === 'not-written' && outcome.scope === 'record') this.#topic.refusals.add(code, batch[0]!)
        this.#topic.pause(code, error)
        return 0
      case 'split':
        this.#decided()
        this.#bisection.halve(batch.length, code)
        return 0
      case 'single-out':
        this.#decided()
        this.#bisection.name(
          next.refused.map((index) => batch[index]!),
          outcome,
        )
        return 0
      case 'wait':
        this.#failed(outcome, kept)
        return next.ms + random() * spreadMs
      case 'again':
        this.#failed(outcome, kept)
        if (code === bugCode) break
        if (next.doubt) breaker.doubt(this, code, error, { again: this.#stuck })
        else breaker.trouble(this, code, error)
        // The partition may be gone, or new to the client.
        if (!next.doubt) this.#topic.recheck()
        // Whether the topic takes messages, another partition may tell sooner.
        this.#topic.pass(this)
    }
    return backoff(this.#attempt, random(), { firstMs: 50, maxMs: 5_000 })
  }

  /** Rows of unknown outcome may still be appended: the next owner of their buckets must not begin before. */
  #keepBusy(batch: CarriedRow[], sentAt: number): void {
    const { settings, state } = this.#context
    for (const row of batch) state.claims.keepBusy(row.bucket, sentAt + settings.requestTimeoutMs)
  }

  /** Whether the next request may be a copy: one record finds out whether the broker answers in time. */
  get #isTentative(): boolean {
    return this.#failure?.kind === 'unknown'
  }

  /** The batch has no decided outcome. */
  #failed(failure: Failure, kept: readonly CarriedRow[]): void {
    this.#failure = failure
    this.#undecided = kept
    if (++this.#attempt > 1) this.#becomeStuck()
  }

  /** Keeps one batch, the one whose outcome is not decided; skips everything else. */
  #becomeStuck(): void {
    const { settings, state } = this.#context
    const { inFlight } = state
    const first = this.#stuck || this.#undecided.length > 0 ? this.#undecided : this.#queue.head(settings.batchRecords)
    const batch = this.#flying.length > 0 ? this.#flying : first
    inFlight.unkeep(batch)
    const kept = new Set(inFlight.mayKeep(batch) ? batch : batch.slice(0, this.#flying.length || 1))
    this.#stuck = true
    this.#gaveUp = true
    inFlight.keep([...kept])
    for (const row of this.letGo((row) => !kept.has(row))) this.skippedFrom.skip(row.bucket, row.id)
  }

  /** The outcome of the batch is decided: the lane progresses. */
  #decided(): void {
    if (this.#stuck) this.#context.state.inFlight.unkeep(this.#queue.head(this.#queue.length))
    this.#failure = undefined
    this.#undecided = []
    this.#attempt = 0
    this.#stuck = false
    this.#movedAt = this.#context.clock.now()
  }

  #acknowledged(batch: CarriedRow[]): void {
    this.#context.state.inFlight.acknowledged(batch)
    this.#decided()
    this.#bisection.cleared(batch.length, bytesOf(batch))
    this.#topic.accepted()
    this.#breaker.acknowledged(this)
    this.#context.state.acked.push(batch)
  }

  #refused(row: CarriedRow, code: string, error: string): void {
    this.#context.state.inFlight.unkeep([row])
    this.#decided()
    this.#bisection.found(row)
    this.#topic.refusals.add(code, row)
    const claim = this.#context.state.claims.get(row.bucket)
    // Without a claim nothing may be moved; whoever has the bucket finds the row, and the refusal, by itself.
    if (!claim || claim.leaving) {
      this.#context.state.inFlight.drop(row)
    } else {
      row.claim = claim
      this.#context.state.moves.reject(row, code, error)
    }
  }

  /**
   * Puts a batch back to the head of the queue. A row whose bucket was lost is let go of; one whose bucket was claimed anew goes on under
   * the new claim: let go of, it would stay behind the rows of its key that were read since. Returns what went back.
   */
  #putBack(batch: CarriedRow[]): CarriedRow[] {
    const { inFlight, claims } = this.#context.state
    const kept: CarriedRow[] = []
    for (const row of batch) {
      const claim = claims.get(row.bucket)
      if (!claim || claim.leaving || !this.#topic.open) {
        this.#bisection.drop(row)
        if (claim) this.#topic.skip(row)
        inFlight.drop(row)
      } else {
        row.claim = claim
        kept.push(row)
      }
    }
    this.#queue.putBack(kept)
    return kept
  }

  #resumeIfRoom(): void {
    const { inFlight, positions } = this.#context.state
    if (!this.skippedFrom.any || this.#stuck) return
    if (this.load > 0 && (this.load > inFlight.shareRows / 2 || this.#bytes > inFlight.shareBytes / 2)) return
    positions.resume(this.skippedFrom, this.#gaveUp)
    this.#gaveUp = false
  }
}
