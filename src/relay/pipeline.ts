import { bucketCount } from '../message/key.ts'
import type { StoreSession } from '../store/store.ts'
import type { RelayContext } from './context.ts'
import { DeadLetters } from './dead-letters/dead-letters.ts'
import { Reader, sweepMs } from './fetch/reader.ts'
import { Answers } from './leases/answers.ts'
import { Leases } from './leases/leases.ts'
import { Notifications } from './notifications.ts'
import { Topics } from './publish/topics.ts'
import { Adoption } from './settle/adoption.ts'
import { Recorder } from './settle/recorder.ts'
import { ofMode, type Settlement } from './settle/settlement.ts'
import { Settler } from './settle/settler.ts'
import { RelayState } from './state/state.ts'

/** Topics are asked for new partitions once in so many turns of the sweep, about a minute. */
const recheckTurns = 6

/**
 * The way of a row, from the outbox to its delete:
 *
 * 1. `leases/leases.ts` claims buckets and keeps them; nothing is read, sent or moved without a claim.
 * 2. `fetch/reader.ts` reads the next rows of the claimed buckets, in the order of their ids.
 * 3. `fetch/route.ts` gives each row to the lane of its topic and partition, or to `state/moves.ts` if it can never be sent or its key is blocked.
 * 4. `publish/lane.ts` sends what waits in `publish/send-queue.ts`, one request at a time, and `publish/verdict.ts` says what an answer means.
 * 5. Acknowledged: the row goes into `state/acked-rows.ts`. `settle/settler.ts` deletes it; in the exactly-once mode `settle/recorder.ts`, which
 *    has recorded its batch before it was sent.
 * 6. Rejected for good: it goes into `state/moves.ts`. `dead-letters/mover.ts` moves it, and those behind it, to outbox_dead_letter.
 *
 * Stages hand over through `state/`: a row is put there and a signal raised. The loops never wait for one another, and what they know
 * outlives the database sessions that they work in.
 */
export class Pipeline {
  readonly context: RelayContext
  readonly topics: Topics
  readonly leases: Leases
  readonly notifications: Notifications
  readonly #reader: Reader
  readonly #settlement: Settlement
  readonly #deadLetters: DeadLetters
  readonly #answers: Answers

  constructor(given: Omit<RelayContext, 'state'>) {
    const { clock, settings, telemetry } = given
    this.#answers = new Answers({ transport: given.transport, clock, leaseMs: settings.leaseMs })
    const state = new RelayState(settings, clock, telemetry)
    this.context = { ...given, transport: this.#answers.transport, state }
    this.notifications = new Notifications(this.context)
    const settler = new Settler(this.context)
    // A plain relay has one too: it publishes what relays of the exactly-once mode left recorded.
    const recorder = given.transport.producerId && new Recorder(this.context)
    this.#settlement = ofMode(() => (state.exactlyOnce && recorder ? recorder : settler))
    this.topics = new Topics(this.context, this.#settlement)
    const adoption = recorder && new Adoption(this.context, this.topics, recorder)
    this.leases = new Leases(this.context, this.topics, this.#answers, adoption)
    this.#reader = new Reader(this.context, this.topics, this.notifications)
    this.#deadLetters = new DeadLetters(this.context, this.topics, this.notifications)
  }

  /** Asks for a broker from the start on, whatever the database does: the connections are made side by side. */
  listenToKafka(signal: AbortSignal): Promise<void> {
    return this.#answers.run(signal, this.topics.breaker)
  }

  /** The loops of one session; they end with `over`, and reading with `reading`. */
  run(session: StoreSession, { reading, over }: { reading: AbortSignal; over: AbortSignal }): Promise<void>[] {
    return [
      this.leases.run(session, over),
      this.#reader.run(session, reading),
      this.#settlement.run(session, over),
      this.#deadLetters.run(session, over),
      this.notifications.run(session, over),
      this.#sweep(over),
    ]
  }

  /** What was known through the connections that are gone is void; rows in flight and acknowledged rows are kept (rule 7). */
  forget(): void {
    this.leases.forget()
    this.#reader.reset()
  }

  /** Reads every bucket from its beginning once in a while, one after the other (rule 10). Also asks for new partitions. */
  async #sweep(signal: AbortSignal): Promise<void> {
    const { clock, state } = this.context
    for (let turn = 0; !signal.aborted; turn++) {
      await clock.wait(sweepMs / bucketCount, signal)
      const claim = state.claims.get(turn % bucketCount)
      if (claim && !claim.leaving && !signal.aborted) state.positions.sweep(claim)
      if (turn % recheckTurns === 0 && !signal.aborted) for (const topic of this.topics.all) topic.recheck()
    }
  }
}
