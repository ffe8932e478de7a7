import { placementHash } from '../../message/key.ts'
import { keyDigest } from '../../message/key-digest.ts'
import { backoff } from '../../running/backoff.ts'
import { TransportError } from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'
import type { CarriedRow } from '../state/claim.ts'
import { onDeadOf } from '../state/on-dead-letter.ts'
import { SkippedFrom } from '../state/skipped-from.ts'
import { tellBug } from './bug.ts'
import { ClusterBreaker } from './cluster-breaker.ts'
import { Probe } from './half-open.ts'
import { Lane, type LaneTopic } from './lane.ts'
import { type KnownTopics, MissingTopics } from './missing-topics.ts'

/** Back-off between two looks at a topic in trouble, in milliseconds: one that was created must not wait long for its messages. */
const lookAgain = { firstMs: 500, maxMs: 5_000 }

/**
 * One topic with its lanes. A topic takes rows only while it is open; until its partitions are known, and while it is in trouble, it lets
 * go of its rows and remembers what it skips, so that a dead topic costs the others neither room nor time. After trouble one record goes
 * first, and the others wait for what becomes of it.
 * Keeps rules 5, 8 and 20 of docs/protocol.md.
 */
export class Topic implements LaneTopic {
  readonly name: string
  readonly skippedFrom = new SkippedFrom()
  readonly #context: RelayContext
  readonly #breaker: ClusterBreaker
  #open = false
  #lanes: Lane[] = []
  #partitions = 0
  #turn = 0
  #refusedCode = ''
  #refused = new Set<string>()
  #attempt = 0
  #pausedSince: number | undefined
  #trouble: { code: string; error: string } | undefined
  #opening: Promise<void> | undefined
  readonly #probe: Probe

  /** `partitions`: how many Kafka has just told; otherwise they are asked for. */
  constructor(name: string, context: RelayContext, breaker: ClusterBreaker, partitions?: number) {
    this.name = name
    this.#context = context
    this.#breaker = breaker
    this.#probe = new Probe(context.signal)
    if (partitions === undefined) this.#reopen(0)
    else this.#opened(partitions)
  }

  get open(): boolean {
    return this.#open
  }

  /** Why the topic is paused, while it is. */
  get trouble(): { code: string; error: string } | undefined {
    return this.#open ? undefined : this.#trouble
  }

  /** Code of the reason, while the topic is paused or finds out whether it may go on. */
  get pausedBy(): string | undefined {
    return this.#pausedSince === undefined ? undefined : this.#trouble?.code
  }

  get lanes(): readonly Lane[] {
    return this.#lanes
  }

  /** Lane of a row. Only while open. */
  laneOf(row: CarriedRow): Lane {
    if (row.key === null && this.#context.settings.keyless === 'spread') return this.#nextLane()
    return this.#lanes[placementHash(row.topic, row.key) % this.#partitions]!
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
  }

  refusedKeys(code: string): number {
    return code === this.#refusedCode ? this.#refused.size : 0
  }

  refused(code: string, row: CarriedRow): void {
    if (code !== this.#refusedCode) this.#refused = new Set()
    this.#refusedCode = code
    this.#refused.add(this.#counted(row))
  }

  wasRefused(row: CarriedRow): boolean {
    return this.#refused.has(this.#counted(row))
  }

  /** What counts as one that was refused: where the relay goes on with a key, one key alone could empty a topic that takes nothing. */
  #counted(row: CarriedRow): string {
    if (row.key === null || onDeadOf(this.#context.settings.onDeadLetter, this.name) === 'skip') return row.messageId
    return keyDigest(this.name, row.key)
  }

  turn(lane: Lane): Promise<'probe' | 'free'> {
    return this.#probe.turn(lane)
  }

  pass(lane: Lane): void {
    this.#probe.pass(lane)
  }

  accepted(): void {
    this.#refused.clear()
    // An answer to what was sent before the pause: it ends no trouble, and would let every partition try at once afterwards.
    if (!this.#open) return
    this.#probe.end()
    this.#attempt = 0
    this.#trouble = undefined
    if (this.#pausedSince === undefined) return
    this.#context.telemetry.emit('topic_resumed', {
      topic: this.name,
      ms: Math.round(this.#context.clock.now() - this.#pausedSince),
    })
    this.#pausedSince = undefined
  }

  /** The topic cannot take messages: its rows wait in the table until it can. */
  pause(code: string, error: string): void {
    // What was on its way at the first refusal is refused as well: one trouble, not one for each partition.
    if (!this.#open) return
    this.#tellPaused(code, error)
    this.#close()
    this.#reopen(backoff(++this.#attempt, this.#context.random(), lookAgain))
  }

  /** Asks for the number of partitions anew; if it has changed, finishes what is in flight, lets go of the rest and goes on with the new one. */
  recheck(): void {
    if (!this.#open || this.#opening) return
    this.#track(this.#closeIfGrown())
  }

  async #closeIfGrown(): Promise<void> {
    try {
      if ((await this.#look()) !== this.#partitions && this.#open) this.#close()
    } catch {
      // Trouble of a topic shows itself at the next publish; a look alone is no reason to stop.
    }
  }

  #close(): void {
    this.#open = false
    this.#probe.end()
    for (const lane of this.#lanes) {
      for (const row of lane.letGo(() => true)) this.skip(row)
      for (const [bucket, id] of lane.skippedFrom.take()) this.skippedFrom.skip(bucket, id)
    }
  }

  #reopen(afterMs: number): void {
    if (!this.#opening) this.#track(this.#openWhenPossible(afterMs))
  }

  /** One look at a time. A topic that was closed while one was under way is opened afterwards. */
  #track(look: Promise<void>): void {
    this.#opening = look.finally(() => {
      this.#opening = undefined
      if (!this.#open && !this.#context.signal.aborted)
        this.#reopen(this.#attempt === 0 ? 0 : backoff(this.#attempt, this.#context.random(), lookAgain))
    })
  }

  async #openWhenPossible(afterMs: number): Promise<void> {
    const { clock, signal, random } = this.#context
    const breaker = this.#breaker
    let wait = afterMs
    for (;;) {
      await clock.wait(wait, signal)
      await breaker.passable()
      if (signal.aborted) return
      try {
        const partitions = await this.#look()
        for (const lane of this.#lanes) await lane.idle()
        if (!signal.aborted) this.#opened(partitions)
        return
      } catch (error) {
        // Broken off by the end of the relay: no trouble of Kafka's.
        if (signal.aborted) return
        if (!(error instanceof TransportError)) this.#bug(error)
        else if (error.scope === 'topic') this.#blamed(error)
        else breaker.doubt(this, error.code, error.message)
        wait = backoff(++this.#attempt, random(), lookAgain)
      }
    }
  }

  /** A broker answered: this topic cannot take messages, but Kafka is not in trouble. */
  #blamed({ code, message }: TransportError): void {
    this.#tellPaused(code, message)
    this.#breaker.trust(this)
  }

  /** Asked again, with the usual back-off: neither this topic nor Kafka is in trouble. */
  #bug(error: unknown): void {
    if (this.#attempt === 0) tellBug(this.#context.telemetry, 'asked', error)
  }

  async #look(): Promise<number> {
    return this.#context.transport.partitions(this.name, this.#context.signal)
  }

  #opened(partitions: number): void {
    const before = this.#partitions
    if (before !== 0 && before !== partitions) {
      this.#context.telemetry.emit('partitions_changed', { topic: this.name, from: before, to: partitions })
    }
    if (before !== partitions) {
      this.#lanes = Array.from({ length: partitions }, (_, partition) => new Lane(this, partition, this.#context, this.#breaker))
      this.#partitions = partitions
    }
    if (this.#pausedSince !== undefined) this.#probe.begin()
    this.#breaker.trust(this)
    this.#open = true
    this.#context.state.positions.resume(this.skippedFrom, true)
  }

  #tellPaused(code: string, error: string): void {
    this.#trouble = { code, error }
    if (this.#pausedSince !== undefined) return
    this.#pausedSince = this.#context.clock.now()
    this.#context.telemetry.emit('topic_paused', { topic: this.name, code, error })
  }
}

/** Topics that take no rows and are asked for one by one, left out of a fetch, and told of by name. More are {@link MissingTopics}. */
export const mostClosed = 100

/** The topics that the relay has met. */
export class Topics implements KnownTopics {
  readonly missing: MissingTopics
  readonly #byName = new Map<string, Topic>()
  readonly #context: RelayContext
  readonly #breaker: ClusterBreaker

  /** `mostMissing`: as {@link MissingTopics} has it. */
  constructor(context: RelayContext, mostMissing?: number) {
    this.#context = context
    this.#breaker = new ClusterBreaker(context)
    this.missing = new MissingTopics(context, this.#breaker, this, mostMissing)
  }

  /** A topic exists: from now on it takes rows itself. */
  found(name: string, partitions: number): void {
    this.#byName.set(name, new Topic(name, this.#context, this.#breaker, partitions))
  }

  /**
   * The topic of that name; a new one opens without being told. Undefined if it is one of many that take no rows: while there are any, a new one is
   * too, since rows of it may have been skipped before.
   */
  get(name: string): Topic | undefined {
    const known = this.#byName.get(name)
    if (known || this.missing.any || this.closed().length >= mostClosed) return known
    const topic = new Topic(name, this.#context, this.#breaker)
    this.#byName.set(name, topic)
    return topic
  }

  get all(): Iterable<Topic> {
    return this.#byName.values()
  }

  /** Topics that take no rows at present, the first hundred of them. */
  closed(): Topic[] {
    const closed: Topic[] = []
    for (const topic of this.#byName.values()) if (!topic.open && closed.push(topic) >= mostClosed) break
    return closed
  }

  /** Others need room: lanes that do not progress give up what they have not sent. */
  yieldRoom(): void {
    for (const topic of this.#byName.values()) for (const lane of topic.lanes) lane.yieldRoom()
  }

  /** Lets go of queued rows of all topics. */
  letGo(which: (row: CarriedRow) => boolean): void {
    for (const topic of this.#byName.values()) topic.letGo(which)
  }

  /**
   * Whether something waits that only Kafka as a whole keeps from being sent: rows in lanes, and rows of topics whose partitions no
   * broker has told yet. What a topic in trouble of its own skips does not count.
   */
  get waiting(): boolean {
    for (const topic of this.#byName.values()) {
      if (topic.open ? topic.lanes.some((lane) => lane.load > 0) : !topic.trouble && topic.skippedFrom.any) return true
    }
    return this.missing.waiting
  }
}
