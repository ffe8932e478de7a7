import type { RelayContext } from '../context.ts'
import type { NumberedBatch, Settlement } from '../settle/settlement.ts'
import type { CarriedRow } from '../state/claim.ts'
import { ClusterBreaker } from './cluster-breaker.ts'
import type { LaneDeps } from './lane.ts'
import { type KnownTopics, MissingTopics } from './missing-topics.ts'
import { Producer } from './producer.ts'
import { Topic } from './topic.ts'

/** Topics that take no rows and are asked for one by one, left out of a fetch, and told of by name. More are {@link MissingTopics}. */
export const mostClosed = 100

/** The topics that the relay has met. */
export class Topics implements KnownTopics {
  readonly missing: MissingTopics
  readonly #byName = new Map<string, Topic>()
  readonly #context: RelayContext
  readonly breaker: ClusterBreaker
  readonly #deps: LaneDeps

  /** `settlement`: what the lanes tell the database by. */
  constructor(context: RelayContext, settlement: Settlement, mostMissing?: number) {
    this.#context = context
    this.breaker = new ClusterBreaker(context)
    this.#deps = { breaker: this.breaker, producer: new Producer(context), settlement }
    this.missing = new MissingTopics(context, this.breaker, this, mostMissing)
  }

  /** A topic exists: from now on it takes rows itself. */
  found(name: string, partitions: number): void {
    this.#byName.set(name, this.#topic(name, partitions))
  }

  /**
   * The topic of that name; a new one opens without being told. Undefined if it is one of many that take no rows: while there are any, a new one is
   * too, since rows of it may have been skipped before.
   */
  get(name: string): Topic | undefined {
    const known = this.#byName.get(name)
    if (known || this.missing.any || this.closed().length >= mostClosed) return known
    const topic = this.#topic(name)
    this.#byName.set(name, topic)
    return topic
  }

  /** A recorded batch of a bucket that was claimed goes to its lane, also when the topic takes no rows. */
  adopt(batch: NumberedBatch): void {
    let topic = this.#byName.get(batch.topic)
    if (!topic) {
      topic = this.#topic(batch.topic)
      this.#byName.set(batch.topic, topic)
    }
    topic.adopt(batch)
  }

  #topic(name: string, partitions?: number): Topic {
    return new Topic(name, this.#context, this.#deps, partitions)
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

  /** Rows of batches in doubt that lanes of paused topics keep: they move only when their topic takes messages again. */
  get resting(): number {
    let rows = 0
    for (const { trouble, load } of this.#byName.values()) if (trouble) rows += load
    return rows
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
