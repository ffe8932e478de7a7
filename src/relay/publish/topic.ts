import { placementHash } from '../../message/key.ts'
import { backoff } from '../../running/backoff.ts'
import { retry } from '../../running/retry.ts'
import { asTransportError, type TransportError } from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'
import type { NumberedBatch } from '../settle/settlement.ts'
import type { CarriedRow } from '../state/claim.ts'
import { SkippedFrom } from '../state/skipped-from.ts'
import { bugCode, tellBug } from './bug.ts'
import type { ClusterBreaker } from './cluster-breaker.ts'
import { Probe } from './half-open.ts'
import { Lane, type LaneDeps } from './lane.ts'
import type { LaneTopic } from './lane-topic.ts'
import { Refusals } from './refusals.ts'
import { WaitingBatches } from './waiting-batches.ts'

/** Back-off between two questions about a topic in trouble, in milliseconds: one that was created must not wait long for its messages. */
const askAgain = { firstMs: 500, maxMs: 5_000 }

/** Why a topic takes no messages, and since when on the relay's clock. */
interface Trouble {
  readonly code: string
  readonly error: string
  readonly since: number
}

/**
 * - `resolving`: the number of partitions is being asked for. Rows are skipped. Answered: `open`; the topic is missing or may not be
 *   written: `paused`.
 * - `open`: rows go to the lanes. A refusal that blames the topic: `paused`; another number of partitions: `resolving`.
 * - `paused`: the topic takes no messages. Rows are skipped, and the topic is asked for with back-off. Answered: `half-open`.
 * - `half-open`: rows go to the lanes, and one record at a time is sent, to find out. Acknowledged: `open`; refused, or another number of
 *   partitions: `paused`.
 */
type TopicState = { name: 'resolving' | 'open' } | { name: 'paused' | 'half-open'; trouble: Trouble }

const takesRows = (state: TopicState) => state.name === 'open' || state.name === 'half-open'

const troubleOf = (state: TopicState) => ('trouble' in state ? state.trouble : undefined)

/**
 * One topic with its lanes, and its circuit breaker. While it takes no rows it remembers what it skips, so that a dead topic costs the
 * others neither room nor time.
 * Keeps rules 5, 8 and 20 of docs/protocol.md.
 */
export class Topic implements LaneTopic {
  readonly name: string
  readonly skippedFrom = new SkippedFrom()
  readonly refusals: Refusals
  readonly #context: RelayContext
  readonly #breaker: ClusterBreaker
  readonly #deps: LaneDeps
  readonly #probe: Probe
  /** Changed by `#enter` alone. */
  #state: TopicState = { name: 'resolving' }
  /** One for each partition; empty until the first answer. */
  #lanes: Lane[] = []
  /** Recorded batches without a lane. */
  readonly #waiting: WaitingBatches
  /** Lane of the next row without a key, where those are spread. */
  #turn = 0
  /** Questions and refusals since the last acknowledgement. */
  #attempt = 0
  /** The question under way, at most one. */
  #asking: Promise<void> | undefined

  /** `partitions`: how many Kafka has just named; otherwise they are asked for. */
  constructor(name: string, context: RelayContext, deps: LaneDeps, partitions?: number) {
    this.name = name
    this.#context = context
    this.#breaker = deps.breaker
    this.#deps = deps
    this.#probe = new Probe(context.signal)
    this.#waiting = new WaitingBatches(context, deps.settlement, () => this.recheck())
    this.refusals = new Refusals(name, context.settings.onDeadLetter)
    if (partitions === undefined) this.#reopen(0)
    else this.#answered(partitions)
  }

  /** Whether rows go to its lanes. */
  get open(): boolean {
    return takesRows(this.#state)
  }

  /** Why the topic is paused, while it is. */
  get trouble(): { code: string; error: string } | undefined {
    return this.open ? undefined : troubleOf(this.#state)
  }

  /** Code of the reason, while the topic is paused or finds out whether it may go on. */
  get pausedBy(): string | undefined {
    return troubleOf(this.#state)?.code
  }

  get lanes(): readonly Lane[] {
    return this.#lanes
  }

  /** Lane of a row. Only while open. */
  laneOf(row: CarriedRow): Lane {
    if (row.key === null && this.#context.settings.keyless === 'spread') return this.#nextLane()
    return this.#lanes[placementHash(row.topic, row.key) % this.#lanes.length]!
  }

  /** The lanes in turn; a stuck one only where all are. */
  #nextLane(): Lane {
    const count = this.#lanes.length
    for (let tries = 0; tries < count; tries++) {
      const lane = this.#lanes[this.#turn++ % count]!
      if (!lane.stuck) return lane
    }
    return this.#lanes[this.#turn++ % count]!
  }

  skip(row: CarriedRow): void {
    this.skippedFrom.skip(row.bucket, row.id)
  }

  /** Lets go of queued rows; they are read again, if at all, under another claim. */
  letGo(which: (row: CarriedRow) => boolean): void {
    for (const lane of this.#lanes) lane.letGo(which)
    this.#waiting.letGo()
  }

  /** A recorded batch of a bucket that was claimed: it goes to the head of its lane, or waits until the partitions are known. */
  adopt(batch: NumberedBatch): void {
    this.#waiting.add(batch)
    if (this.#lanes.length > 0) this.#waiting.into(this.#lanes)
  }

  /** Rows of its lanes, and of recorded batches that wait for a lane. */
  get load(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.load, this.#waiting.rows)
  }

  turn(lane: Lane): Promise<'probe' | 'free'> {
    return this.#probe.turn(lane)
  }

  pass(lane: Lane): void {
    this.#probe.pass(lane)
  }

  accepted(): void {
    this.refusals.clear()
    // An answer to what was sent before the pause: it ends no trouble, and would let every partition try at once afterwards.
    if (!this.open) return
    this.#attempt = 0
    if (this.#state.name !== 'open') this.#enter({ name: 'open' })
  }

  /** The topic cannot take messages: its rows wait in the table until it can. */
  pause(code: string, error: string): void {
    // What was on its way at the first refusal is refused as well: one trouble, not one for each partition.
    if (!this.open) return
    this.#blame(code, error)
    this.#reopen(backoff(++this.#attempt, this.#context.random(), askAgain))
  }

  /** Asks again for the number of partitions. If it has changed, finishes what is in flight, lets go of the rest and goes on with the new one. */
  recheck(): void {
    if (this.open && !this.#asking) this.#track(this.#closeIfGrown())
  }

  async #closeIfGrown(): Promise<void> {
    try {
      if ((await this.#ask()) === this.#lanes.length || !this.open) return
      const trouble = troubleOf(this.#state)
      this.#enter(trouble ? { name: 'paused', trouble } : { name: 'resolving' })
    } catch {
      // Trouble of a topic shows itself at the next publish; a question alone is no reason to stop.
    }
  }

  #reopen(afterMs: number): void {
    if (!this.#asking) this.#track(this.#openWhenPossible(afterMs))
  }

  /** One question at a time. A topic that was closed while one was under way is opened afterwards. */
  #track(question: Promise<void>): void {
    this.#asking = question.finally(() => {
      this.#asking = undefined
      if (!this.open && !this.#context.signal.aborted)
        this.#reopen(this.#attempt === 0 ? 0 : backoff(this.#attempt, this.#context.random(), askAgain))
    })
  }

  async #openWhenPossible(afterMs: number): Promise<void> {
    const { clock, signal, random } = this.#context
    await clock.wait(afterMs, signal)
    const ask = async () => {
      await this.#breaker.passable()
      const partitions = await this.#ask()
      for (const lane of this.#lanes) await lane.idle()
      return partitions
    }
    const failed = (error: unknown) => {
      const known = error as TransportError
      if (known.scope === 'topic') this.#missing(known)
      else this.#unanswered(known)
      return backoff(++this.#attempt, random(), askAgain)
    }
    const partitions = await retry(ask, failed, { clock, signal })
    if (partitions !== undefined) this.#answered(partitions)
  }

  /** Rejects with a TransportError. */
  async #ask(): Promise<number> {
    try {
      return await this.#context.transport.partitions(this.name, this.#context.signal)
    } catch (error) {
      throw asTransportError(error)
    }
  }

  /** Nobody answered. A bug of the client, told once in a row, is trouble neither of this topic nor of Kafka. */
  #unanswered({ code, message, cause }: TransportError): void {
    if (code !== bugCode) this.#breaker.doubt(this, code, message)
    else if (this.#attempt === 0) tellBug(this.#context.telemetry, 'asked', cause)
  }

  /** A broker answered: this topic cannot take messages, but Kafka is not in trouble. */
  #missing({ code, message }: TransportError): void {
    this.#blame(code, message)
    this.#breaker.trust(this)
  }

  #answered(partitions: number): void {
    const before = this.#lanes.length
    if (before !== 0 && before !== partitions) {
      this.#context.telemetry.emit('partitions_changed', { topic: this.name, from: before, to: partitions })
    }
    if (before !== partitions) {
      for (const lane of this.#lanes) for (const batch of lane.end()) this.#waiting.add(batch)
      this.#lanes = Array.from({ length: partitions }, (_, partition) => this.#lane(partition))
    }
    this.#breaker.trust(this)
    const trouble = troubleOf(this.#state)
    this.#enter(trouble ? { name: 'half-open', trouble } : { name: 'open' })
    this.#waiting.into(this.#lanes)
  }

  #lane(partition: number): Lane {
    return new Lane(this, partition, this.#context, this.#deps)
  }

  #blame(code: string, error: string): void {
    const since = troubleOf(this.#state)?.since ?? this.#context.clock.now()
    this.#enter({ name: 'paused', trouble: { code, error, since } })
  }

  /** The only way from state to state: tells it, and keeps rows and probe as the new state has them. */
  #enter(next: TopicState): void {
    const before = this.#state
    const [was, is] = [troubleOf(before), troubleOf(next)]
    this.#state = next
    if (!was && is) this.#context.telemetry.emit('topic_paused', { topic: this.name, code: is.code, error: is.error })
    if (was && !is) {
      const ms = Math.round(this.#context.clock.now() - was.since)
      this.#context.telemetry.emit('topic_resumed', { topic: this.name, ms })
    }
    if (next.name === 'half-open') this.#probe.begin()
    else if (next.name === 'open') this.#probe.end()
    else this.#probe.pause()
    if (takesRows(before) && !takesRows(next)) this.#skipQueued()
    if (!takesRows(before) && takesRows(next)) this.#context.state.positions.resume(this.skippedFrom, true)
  }

  #skipQueued(): void {
    for (const lane of this.#lanes) {
      for (const row of lane.pause()) this.skip(row)
      for (const [bucket, id] of lane.skippedFrom.take()) this.skippedFrom.skip(bucket, id)
    }
  }
}
