import { backoff } from '../../running/backoff.ts'
import { asTransportError, type TransportError } from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'
import { Signal } from '../state/signal.ts'
import { SkippedFrom } from '../state/skipped-from.ts'
import type { ClusterBreaker } from './cluster-breaker.ts'

/** The topics that the relay serves. */
export interface KnownTopics {
  /** The topic exists: from now on it takes rows itself. What it skipped here is read again afterwards. */
  found(name: string, partitions: number): void
}

/** Topics of one question. */
const questionTopics = 1_000

/** Milliseconds between two questions for the same topics: one that was created must not wait long for its messages. */
const askAgainMs = 5_000

/** Milliseconds without a row after which a topic is forgotten. Every row is read once in ten minutes (rule 10). */
const forgetMs = 1_200_000

/** Milliseconds of other work for each row that has to be read again to ask for topics that are not known: some percent of the time. */
const restPerRowMs = 1

/** What is known of one topic. */
interface Missing {
  skipped: SkippedFrom
  /** When a row of it was last read, on the relay's clock. */
  metAt: number
}

/**
 * Topics beyond the first hundred that take no rows, as an application makes them of user input. `Topics` hands it their rows. It owns what
 * they have skipped, and asks Kafka for all of them together, so that thousands of missing topics cost the others neither room nor time
 * (rule 8).
 *
 * Each topic is asked for once, at once; a bounded number of those that are missing is known and asked for every few seconds. The others have
 * one skipped range together (`#behind`), whose rows are read again from time to time, so that they are asked for. Rows that come faster than
 * Kafka answers have another (`#ahead`). A topic that is found may have rows in either: both are read again then, lest a later row of a key
 * overtakes an earlier one.
 */
export class MissingTopics {
  readonly #context: RelayContext
  readonly #breaker: ClusterBreaker
  readonly #topics: KnownTopics
  readonly #most: number
  readonly #work: Signal
  readonly #known = new Map<string, Missing>()
  /** Known topics that no broker has answered about yet. */
  readonly #unasked = new Set<string>()
  readonly #ahead = new SkippedFrom()
  readonly #behind = new SkippedFrom()
  /** Rows that were skipped since those behind were last read again. */
  #rows = 0
  #rereadAt = 0
  #askAt = 0
  #attempt = 0
  #running = false
  /** What was told last; undefined while nothing is missing. */
  #told: { since: number; topics: number } | undefined
  #last = { topic: '', code: '' }

  /** `most`: missing topics that are known at a time, and topics that wait for an answer. */
  constructor(context: RelayContext, breaker: ClusterBreaker, topics: KnownTopics, most = 10_000) {
    this.#context = context
    this.#breaker = breaker
    this.#topics = topics
    this.#most = most
    this.#work = new Signal(context.clock)
  }

  /** Whether rows of such topics have been skipped and not been read again. */
  get any(): boolean {
    return this.#known.size > 0 || this.#isMore
  }

  /** Whether rows wait for a broker's answer. */
  get waiting(): boolean {
    return this.#unasked.size > 0
  }

  get #isMore(): boolean {
    return this.#ahead.any || this.#behind.any
  }

  /** Takes a row of a topic that is not known otherwise. */
  skip({ topic, bucket, id }: { topic: string; bucket: number; id: number }): void {
    const { clock } = this.#context
    let missing = this.#known.get(topic)
    if (!missing && this.#unasked.size < this.#most) {
      missing = { skipped: new SkippedFrom(), metAt: 0 }
      this.#known.set(topic, missing)
      this.#unasked.add(topic)
      this.#work.raise()
    }
    this.#rows++
    if (missing) missing.metAt = clock.now()
    ;(missing?.skipped ?? this.#ahead).skip(bucket, id)
    if (!this.#running) void this.#run()
  }

  async #run(): Promise<void> {
    const { clock, signal } = this.#context
    const breaker = this.#breaker
    this.#running = true
    this.#rereadAt = clock.now()
    this.#askAt = this.#rereadAt + askAgainMs
    while (this.any && !signal.aborted) {
      // What is read together is asked for together.
      await breaker.passable()
      const due = clock.now() >= this.#askAt
      if (due) this.#askAt = clock.now() + askAgainMs
      const names = due ? [...this.#known.keys()] : [...this.#unasked]
      for (let at = 0; at < names.length && !signal.aborted; at += questionTopics) {
        await this.#ask(names.slice(at, at + questionTopics))
      }
      if (this.#unasked.size > 0) continue
      this.#tell()
      if (this.#ahead.any) this.#context.state.positions.resume(this.#ahead, true)
      if (due) this.#refresh()
      await this.#work.wait(signal, Math.max(0, this.#askAt - clock.now()))
    }
    this.#running = false
    this.#tell()
  }

  /** One question. Without an answer the topics are asked for again. */
  async #ask(names: readonly string[]): Promise<void> {
    const { transport, signal, clock, random } = this.#context
    const breaker = this.#breaker
    await breaker.passable()
    if (signal.aborted) return
    try {
      const counts = await transport.allPartitions(names, signal)
      this.#attempt = 0
      breaker.trust(this)
      this.#answered(counts)
    } catch (error) {
      if (signal.aborted) return
      const { code, message } = asTransportError(error)
      breaker.doubt(this, code, message)
      await clock.wait(backoff(++this.#attempt, random()), signal)
    }
  }

  #answered(counts: ReadonlyMap<string, number | TransportError>): void {
    const { positions } = this.#context.state
    let any = false
    for (const [topic, count] of counts) {
      const missing = this.#known.get(topic)
      this.#unasked.delete(topic)
      if (!missing) continue
      if (typeof count !== 'number') {
        this.#isMissing(topic, missing, count.code)
        continue
      }
      this.#known.delete(topic)
      this.#topics.found(topic, count)
      positions.resume(missing.skipped, true)
      any = true
    }
    if (!any || !this.#isMore) return
    positions.resume(this.#ahead, true)
    this.#reread()
  }

  #isMissing(topic: string, { skipped }: Missing, code: string): void {
    this.#last = { topic, code }
    if (this.#known.size - this.#unasked.size <= this.#most) return
    this.#known.delete(topic)
    for (const [bucket, id] of skipped.take()) this.#behind.skip(bucket, id)
  }

  /** Asks for the topics that are not known, and forgets those of which no row is read any more. */
  #refresh(): void {
    const { clock, state } = this.#context
    const { positions } = state
    for (const [topic, { skipped, metAt }] of this.#known) {
      if (clock.now() - metAt < forgetMs) continue
      this.#known.delete(topic)
      // Nothing is lost where a row is left after all.
      positions.resume(skipped, true)
    }
    if (this.#behind.any && clock.now() >= this.#rereadAt + this.#rows * restPerRowMs) this.#reread()
  }

  #reread(): void {
    this.#context.state.positions.resume(this.#behind, true)
    this.#rows = 0
    this.#rereadAt = this.#context.clock.now()
  }

  #tell(): void {
    const { clock, telemetry } = this.#context
    const topics = this.#known.size
    if (this.any && topics > 0 && topics !== this.#told?.topics) {
      this.#told = { since: this.#told?.since ?? clock.now(), topics }
      telemetry.emit('topics_missing', { topics, more: this.#isMore, ...this.#last })
    }
    if (this.any || !this.#told) return
    telemetry.emit('topics_found', { ms: Math.round(clock.now() - this.#told.since) })
    this.#told = undefined
  }
}
