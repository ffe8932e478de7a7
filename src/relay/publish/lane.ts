import { backoff } from '../../running/backoff.ts'
import { asTransportError, type Outcome } from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'
import type { Decided, NumberedBatch, Settlement } from '../settle/settlement.ts'
import type { CarriedRow } from '../state/claim.ts'
import { SkippedFrom } from '../state/skipped-from.ts'
import { Bisection } from './bisection.ts'
import { bugCode } from './bug.ts'
import type { ClusterBreaker } from './cluster-breaker.ts'
import { LaneRows } from './lane-rows.ts'
import type { LaneTopic } from './lane-topic.ts'
import { type Failure, Patience } from './patience.ts'
import type { Producer } from './producer.ts'
import { Request } from './request.ts'
import { bytesOf } from './send-queue.ts'
import { Sequence } from './sequence.ts'
import { type Verdict, verdict } from './verdict.ts'

/** Milliseconds until a lease that ends too soon for a request is looked at again: it will have been renewed, or lost. */
const leaseWaitMs = 20

/** Instead of an answer to a batch that is not to be sent any more. */
const tooLate = { kind: 'unknown', code: 'UNKNOWN_PRODUCER_ID', error: 'It is too late to send the batch again.' } as const

/** What the lanes of a relay share. */
export interface LaneDeps {
  readonly breaker: ClusterBreaker
  readonly producer: Producer
  readonly settlement: Settlement
}

/** Milliseconds over which lanes that were throttled together come back. */
const spreadMs = 100

/**
 * The way of one topic-partition to Kafka: first in, first out, one request outstanding, which takes what has queued up by then, so that
 * batches grow by themselves while the broker is busy. After a record that is not acknowledged nothing later is sent before its outcome
 * is decided.
 *
 * A batch with numbers whose outcome is not decided stays as it is, beside the queue, and is sent again under the same numbers. It is neither
 * split nor joined, checked for nothing but its leases, and outlives a pause of its topic. Before it is let go of, its numbers are forgotten.
 *
 * A lane is stuck when its batch has no decided outcome after the first retry. It keeps that batch, drops and skips everything else, and
 * resumes once the batch is decided (rule 8), so that trouble of one partition costs the others neither room nor time.
 * Keeps rules 1, 2, 3, 21 and 28 of docs/protocol.md.
 */
export class Lane {
  readonly partition: number
  readonly skippedFrom = new SkippedFrom()
  readonly #topic: LaneTopic
  readonly #context: RelayContext
  readonly #breaker: ClusterBreaker
  readonly #bisection: Bisection
  readonly #sequence: Sequence
  readonly #settlement: Settlement
  readonly #rows: LaneRows
  /** The request of the batch beside the queue, while it is on its way. */
  #request: Request | undefined
  /** The batch at the head of the queue that was sent without numbers and has no decided outcome. */
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

  constructor(topic: LaneTopic, partition: number, context: RelayContext, { breaker, producer, settlement }: LaneDeps) {
    this.partition = partition
    this.#topic = topic
    this.#context = context
    this.#breaker = breaker
    this.#patience = new Patience(context.settings.requestTimeoutMs)
    this.#bisection = new Bisection(context.settings.batchRecords)
    this.#sequence = new Sequence(producer)
    this.#settlement = settlement
    const parts = { topic, partition, sequence: this.#sequence, bisection: this.#bisection, settlement }
    this.#rows = new LaneRows(parts, context)
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
    if (this.#rows.bytes >= this.#context.state.inFlight.shareBytes) return 0
    return Math.max(0, this.#context.state.inFlight.shareRows - this.load)
  }

  /** Whether it keeps one batch and skips the rest. */
  get stuck(): boolean {
    return this.#stuck
  }

  /** Rows waiting to be sent, or on their way. */
  get load(): number {
    return this.#rows.length
  }

  push(row: CarriedRow): void {
    if (this.load === 0) this.#movedAt = this.#context.clock.now()
    this.#rows.queue.push(row)
    if (!this.#running) void this.#run()
  }

  /** A recorded batch of a bucket that was claimed goes before everything else. */
  adopt(batch: NumberedBatch): void {
    if (this.load === 0) this.#movedAt = this.#context.clock.now()
    this.#rows.adopt(batch)
    if (!this.#running) void this.#run()
  }

  /**
   * Lets go of rows that are not on their way; gives them to the caller, who may skip them. A batch that is kept stays as long as the leases
   * of all its rows do.
   */
  letGo(which: (row: CarriedRow) => boolean): CarriedRow[] {
    if (this.#request) {
      if (this.#rows.batch.some(which)) this.#request.endWait()
    } else this.#rows.giveUpLost()
    return this.#rows.letGo(which)
  }

  /** The topic takes no messages: lets go of everything but a batch that is kept, and gives it to the caller. */
  pause(): CarriedRow[] {
    const gone = this.letGo(() => true)
    if (!this.#request) this.#rest()
    return gone
  }

  /**
   * The topic has another number of partitions, and nothing is on its way. The topic skips what is let go of. Returns recorded batches, which are
   * sent under their numbers whatever lane has them.
   */
  end(): NumberedBatch[] {
    if (this.#settlement.records) return this.#rows.handOver()
    this.#rows.giveUpKept()
    return []
  }

  /** Others need room: a lane that does not progress gives up what it has not sent, as a stuck one does. */
  yieldRoom(): void {
    if (this.#stuck || this.#waitsForBreaker || this.#rows.queue.length === 0) return
    if (this.#attempt > 0 || this.#context.clock.now() - this.#movedAt > this.#patience.slowMs) this.#becomeStuck()
  }

  /** Resolves when no request is outstanding. */
  async idle(): Promise<void> {
    if (this.#request) await new Promise<void>((resolve) => this.#idle.push(resolve))
  }

  async #run(): Promise<void> {
    this.#running = true
    const { clock, signal } = this.#context
    while (this.load > 0 && !signal.aborted) {
      this.#waitsForBreaker = true
      await this.#breaker.passable()
      this.#waitsForBreaker = false
      const wait = (await this.#begin()) ?? (await this.#inTurn())
      if (wait > 0) await clock.wait(wait, signal)
      this.#resumeIfRoom()
    }
    this.#running = false
    this.#topic.pass(this)
    this.#decided()
    this.#breaker.trust(this)
    // Where all that it kept was let go of, nothing else would make it resume.
    this.#resumeIfRoom()
  }

  /** Gets numbers if there are none, or what they are compared with; returns the milliseconds to wait if no broker answered. */
  async #begin(): Promise<number | undefined> {
    try {
      if (this.#rows.isNextAdopted) this.#rows.checkCluster(await this.#sequence.cluster())
      else await this.#sequence.begin()
      return undefined
    } catch (error) {
      const { code, message } = asTransportError(error)
      const failure = { kind: 'not-written', scope: 'producer', code, error: message } as const
      return this.#again(failure, true, this.#rows.queue.head(this.#context.settings.batchRecords))
    }
  }

  /** Sends the batch that is kept, or the next one, when it may; returns the milliseconds to wait afterwards. */
  async #inTurn(): Promise<number> {
    if (!this.#topic.open) this.#rest()
    const turn = await this.#topic.turn(this)
    // Closed again by now: the next turn comes when it opens.
    if (!this.#topic.open || this.#context.signal.aborted) return 0
    this.#rows.takeAdopted()
    if (this.#rows.batch.length > 0) return this.#sendAgain()
    if (turn === 'probe') this.#rows.queue.bringForward((row) => this.#topic.refusals.has(row))
    const batch = this.#rows.queue.next(turn === 'probe' || this.#isTentative ? 1 : this.#bisection.limit)
    const answer = this.#bisection.answerTo(batch[0])
    if (answer) return this.#decide(batch, answer)
    if (batch.length > 0) return this.#send(batch)
    return this.#rows.queue.length > 0 ? leaseWaitMs : 0
  }

  async #sendAgain(): Promise<number> {
    const { clock, settings } = this.#context
    const safe = clock.now() + settings.requestTimeoutMs
    if (this.#rows.lasts(safe)) return this.#send(this.#rows.batch)
    return leaseWaitMs
  }

  async #send(batch: readonly CarriedRow[]): Promise<number> {
    const request = new Request(batch, { topic: this.#topic.name, partition: this.partition }, this.#sequence, this.#context)
    this.#rows.batch = batch
    this.#request = request
    const withheld = await this.#rows.begin(request.numbers)
    const decided = typeof withheld === 'string' || withheld.size > 0 ? withheld : await this.#outcome(request)
    this.#request = undefined
    this.#rows.batch = []
    const wait = this.#act(batch, decided)
    for (const resolve of this.#idle.splice(0)) resolve()
    return wait
  }

  /** Sends the request; resolves with what is to be acted on. */
  async #outcome(request: Request): Promise<Decided> {
    if (this.#rows.isLookedUp) return this.#rows.decide(tooLate)
    const how = { alone: this.#patience.alone(this.#failure, this.#stuck), waitMs: this.#patience.waitMs }
    const outcome = await request.outcome(how, this.#failure?.code)
    this.#patience.learn(outcome, this.#context.clock.now() - request.sentAt, this.#isTentative)
    if (outcome.kind === 'acked') return outcome
    const next = this.#verdict(request.rows, outcome)
    if (outcome.kind === 'unknown' && next.kind !== 'renumber') this.#doubt(request.rows, request.sentAt)
    return this.#keeps(next, outcome) ? outcome : this.#rows.decide(outcome)
  }

  /** Acts on what became of a batch; returns the milliseconds to wait before the next request. */
  #act(batch: readonly CarriedRow[], decided: Decided | 'lost' | 'unnumbered' | ReadonlySet<number>): number {
    if (decided === 'lost') this.#rows.leave(batch)
    else if (decided === 'unnumbered') this.#rows.unsent(batch, new Set())
    else if (decided === 'gone') this.#rows.readAgain(batch)
    else if (decided instanceof Set)
      for (const row of this.#rows.unsent(batch, decided)) this.skippedFrom.skip(row.bucket, row.id)
    else return this.#decide(batch, decided as Outcome)
    return leaseWaitMs
  }

  #decide(batch: readonly CarriedRow[], outcome: Outcome): number {
    if (outcome.kind === 'acked') {
      this.#acknowledged(batch)
      return 0
    }
    const next = this.#verdict(batch, outcome)
    if (next.kind === 'dead-letter') {
      this.#refused(batch[0]!, outcome)
      return 0
    }
    return this.#goOn(next, outcome, batch, this.#keeps(next, outcome) ? this.#rows.keep(batch) : this.#rows.giveUp(batch))
  }

  #verdict(batch: readonly CarriedRow[], outcome: Failure): Verdict {
    const refusedKeys = this.#topic.refusals.count(outcome.code)
    return verdict(outcome, { records: batch.length, numbered: this.#sequence.numbered, refusedKeys })
  }

  /** `kept`: rows of the batch that are still the lane's. */
  #goOn(next: Verdict, outcome: Failure, batch: readonly CarriedRow[], kept: readonly CarriedRow[]): number {
    const { code, error } = outcome
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
        return next.ms + this.#context.random() * spreadMs
      case 'renumber':
        this.#sequence.lost()
        this.#context.telemetry.emit('sequence_lost', { topic: this.#topic.name, partition: this.partition, code })
        this.#failed(outcome, kept)
        return this.#backoffMs
      default:
        return this.#again(outcome, next.kind === 'again' && next.doubt, kept)
    }
  }

  /** The batch is sent again. `doubt`: Kafka as a whole may be in trouble. */
  #again(failure: Failure, doubt: boolean, kept: readonly CarriedRow[]): number {
    this.#failed(failure, kept)
    const { code, error } = failure
    if (code !== bugCode) {
      if (doubt) this.#breaker.doubt(this, code, error, { again: this.#stuck })
      else this.#breaker.trouble(this, code, error)
      // The partition may be gone, or new to the client.
      if (!doubt) this.#topic.recheck()
      // Whether the topic takes messages, another partition may tell sooner.
      this.#topic.pass(this)
    }
    return this.#backoffMs
  }

  get #backoffMs(): number {
    return backoff(this.#attempt, this.#context.random(), { firstMs: 50, maxMs: 5_000 })
  }

  /** Rows of unknown outcome may still be appended: the next owner of their buckets must not begin before. */
  #doubt(batch: readonly CarriedRow[], sentAt: number): void {
    const { settings, state } = this.#context
    this.#sequence.doubt()
    for (const row of batch) state.claims.keepBusy(row.bucket, sentAt + settings.requestTimeoutMs)
  }

  /** Whether the next request may be a copy: one record finds out whether the broker answers in time. */
  get #isTentative(): boolean {
    return this.#failure?.kind === 'unknown' && !this.#sequence.numbered
  }

  /**
   * Whether the batch is sent again as it is. One that its topic refused for a reason of the topic tries it later, if a copy of it may be in the
   * log; otherwise it is read again like the others.
   */
  #keeps(next: Verdict, outcome: Failure): boolean {
    if (!this.#sequence.numbered) return false
    if (next.kind === 'again' || next.kind === 'wait') return true
    return next.kind === 'pause-topic' && outcome.kind === 'not-written' && outcome.scope === 'topic' && this.#sequence.doubtful
  }

  /** The topic takes no messages: a batch that is kept takes no room from others meanwhile, and is no trouble of Kafka. */
  #rest(): void {
    this.#breaker.trust(this)
    if (this.#rows.batch.length > 0) this.#becomeStuck()
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
    inFlight.unkeep(this.#rows.batch)
    // There is no room for all of it: a part of it may become copies.
    if (!this.#settlement.records && !this.#request && !inFlight.mayKeep(this.#rows.batch, { doubtful: this.#sequence.doubtful }))
      this.#undecided = this.#rows.giveUpKept()
    const first = this.#stuck || this.#undecided.length > 0 ? this.#undecided : this.#rows.queue.head(settings.batchRecords)
    const batch = this.#rows.batch.length > 0 ? this.#rows.batch : first
    inFlight.unkeep(batch)
    const kept = new Set(this.#rows.batch.length > 0 || inFlight.mayKeep(batch) ? batch : batch.slice(0, 1))
    this.#stuck = true
    this.#gaveUp = true
    inFlight.keep([...kept])
    for (const row of this.letGo((row) => !kept.has(row))) this.skippedFrom.skip(row.bucket, row.id)
  }

  /** The outcome of the batch is decided: the lane progresses. */
  #decided(): void {
    if (this.#stuck) this.#context.state.inFlight.unkeep(this.#rows.queue.head(this.#rows.queue.length))
    this.#failure = undefined
    this.#undecided = []
    this.#attempt = 0
    this.#stuck = false
    this.#movedAt = this.#context.clock.now()
  }

  #acknowledged(batch: readonly CarriedRow[]): void {
    this.#rows.acknowledged(batch)
    this.#decided()
    this.#bisection.cleared(batch.length, bytesOf(batch))
    this.#topic.accepted()
    this.#breaker.acknowledged(this)
  }

  #refused(row: CarriedRow, { code, error }: Failure): void {
    this.#rows.forget()
    this.#context.state.inFlight.unkeep([row])
    this.#decided()
    this.#bisection.found(row)
    this.#topic.refusals.add(code, row)
    const claim = this.#context.state.claims.get(row.bucket)
    // Without a claim nothing may be moved; the owner of the bucket finds the row, and the refusal.
    if (!claim || claim.leaving) {
      this.#context.state.inFlight.drop(row)
    } else {
      row.claim = claim
      this.#context.state.moves.reject(row, code, error)
    }
  }

  #resumeIfRoom(): void {
    const { inFlight, positions } = this.#context.state
    if (!this.skippedFrom.any || this.#stuck) return
    if (this.load > 0 && (this.load > inFlight.shareRows / 2 || this.#rows.bytes > inFlight.shareBytes / 2)) return
    positions.resume(this.skippedFrom, this.#gaveUp)
    this.#gaveUp = false
  }
}
