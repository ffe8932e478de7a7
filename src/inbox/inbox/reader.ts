import type { EachBatchPayload } from 'kafkajs'
import { backoff } from '../../running/backoff.ts'
import type { Clock } from '../../running/clock.ts'
import type { Emitter } from '../../running/emitter.ts'
import { stackOf } from '../../running/stack-of.ts'
import { blameOf, Conflict, codeOf } from '../failure.ts'
import { handledEvent } from '../handlers.ts'
import { Heartbeat, PartitionMemory, Pauses } from '../partition.ts'
import { type NewRecord, recordOf } from '../record.ts'
import type { InboxEvents } from '../telemetry.ts'
import type { Applier, Pending } from './applier.ts'
import { type Batch, Lookahead } from './lookahead.ts'
import type { ResolvedInbox } from './options.ts'

// Keeps rule 25 of docs/protocol-application.md.

/**
 * Milliseconds of work before the other partitions have their turn: kafkajs fetches again only when all batches of the last fetch are
 * through.
 */
const turnMs = 1_000

/** What a reader works with. */
export interface ReaderPorts {
  options: ResolvedInbox
  applier: Applier
  telemetry: Emitter<InboxEvents>
  clock: Clock
  random: () => number
}

/** What to do with the partition: it has come so far, also by putting a message aside; look once more from where it stands; or wait. */
type Outcome = 'done' | 'dead_lettered' | 'again' | 'wait'

/** Why a record is put aside. */
interface Why {
  reason: string
  error: string
  attempts: number
}

/**
 * Reads batches of kafkajs. Nothing that a handler does reaches kafkajs: an error would take the whole consumer away, with all its
 * partitions. A partition whose message fails is paused, and tried again from there.
 */
export class Reader {
  readonly #ports: ReaderPorts
  readonly #partitions = new Map<string, PartitionMemory>()
  readonly #pauses = new Pauses()

  constructor(ports: ReaderPorts) {
    this.#ports = ports
  }

  /** What kafkajs calls; needs `eachBatchAutoResolve: false`. */
  readonly eachBatch = async (payload: EachBatchPayload): Promise<void> => {
    const { isRunning, isStale } = payload
    const { topic, partition, messages } = payload.batch
    const { clock, options, applier } = this.#ports
    const { length } = messages
    const memory = this.#memory(topic, partition)
    // A record is looked up, handled and perhaps reported: its headers are read once.
    const records: NewRecord[] = []
    const recordAt = (index: number) => {
      records[index] ??= recordOf(topic, partition, messages[index]!)
      return records[index]
    }
    const lookahead = new Lookahead({
      length,
      recordAt,
      memory,
      options,
      applier,
      wanted: (record) => handledEvent(record, options),
    })
    const heartbeat = new Heartbeat(payload.heartbeat)
    const until = clock.now() + turnMs
    for (let i = 0; i < length && isRunning() && !isStale() && !heartbeat.lost && clock.now() < until; ) {
      let batch: Batch
      try {
        batch = await lookahead.next(i)
      } catch (error) {
        this.#wait(recordAt(i), error, false, payload)
        break
      }
      const outcome = await this.#take(batch, payload)
      if (outcome === 'wait') break
      if (outcome === 'done') lookahead.took(batch)
      else lookahead.forget()
      if (outcome === 'again') continue
      i = batch.end
      payload.resolveOffset(messages[i - 1]!.offset)
    }
    heartbeat.end()
  }

  /** Forgets the waits of paused partitions. */
  stop(): void {
    this.#pauses.forget()
  }

  async #take(batch: Batch, payload: EachBatchPayload): Promise<Outcome> {
    if (batch.do === 'dead-letter') return this.#deadLetter(batch.record, { ...batch.why, attempts: 0 }, payload)
    if (batch.do === 'fail') return this.#failed(batch.record, batch.cause, blameOf(batch.cause) !== 'database', payload)
    const { applier, telemetry, clock, options } = this.#ports
    const { pending, copies } = batch
    const { consumer } = options
    const { topic, partition } = payload.batch
    const start = clock.now()
    let begun = false
    try {
      if (pending.length > 0) {
        await applier.apply(pending, () => {
          begun = true
        })
      }
    } catch (error) {
      if (error instanceof Conflict) return 'again'
      return this.#notApplied(pending, error, begun, payload)
    }
    const behind = pending.filter(({ event }) => event === undefined).length
    const messages = pending.length - behind
    const ms = Math.round(clock.now() - start)
    if (messages + copies > 0) telemetry.emit('applied', { consumer, topic, partition, messages, copies, ms })
    if (behind > 0) telemetry.emit('blocked', { consumer, topic, partition, messages: behind })
    return 'done'
  }

  /** `begun`: a handler was called. Without one nothing speaks against a message. */
  async #notApplied(pending: readonly Pending[], error: unknown, begun: boolean, payload: EachBatchPayload): Promise<Outcome> {
    const { record } = pending[0]!
    const counts = begun && (await this.#speaksAgainst(record, error))
    if (pending.length === 1) return this.#failed(record, error, counts, payload)
    if (!counts) return this.#wait(record, error, false, payload)
    // One of them is at fault: it shows when each has a transaction of its own.
    this.#memory(record.topic, record.partition).split(pending.map((one) => one.record.identity))
    return 'again'
  }

  /**
   * Whether a failure counts towards dead-lettering. One that may be the database's counts if the database answers now, and the same message has
   * failed so before.
   */
  async #speaksAgainst(record: NewRecord, error: unknown): Promise<boolean> {
    const blame = blameOf(error)
    if (blame !== 'either') return blame !== 'database'
    if (!(await this.#ports.applier.answers())) return false
    return this.#memory(record.topic, record.partition).failedSoBefore(record.identity, codeOf(error))
  }

  async #failed(record: NewRecord, error: unknown, counts: boolean, payload: EachBatchPayload): Promise<Outcome> {
    const { deadLetter } = this.#ports.options
    const attempts = this.#memory(record.topic, record.partition).attempts(record.identity) + (counts ? 1 : 0)
    if (!counts || deadLetter === undefined || attempts < deadLetter.after) return this.#wait(record, error, counts, payload)
    const what = error instanceof Error ? error.message : String(error)
    return this.#deadLetter(record, { reason: 'HANDLER_FAILED', error: what, attempts }, payload)
  }

  async #deadLetter(record: NewRecord, why: Why, payload: EachBatchPayload): Promise<Outcome> {
    const { applier, telemetry, options } = this.#ports
    const { topic, partition, offset, id: messageId } = record
    try {
      if (await applier.deadLetter(record, why)) {
        const { reason, attempts } = why
        telemetry.emit('dead_lettered', { consumer: options.consumer, topic, partition, offset, messageId, reason, attempts })
      }
      return 'dead_lettered'
    } catch (error) {
      return this.#wait(record, error, false, payload)
    }
  }

  /** Pauses the partition, and lets kafkajs read it again from this record on. `counts`: towards dead-lettering. */
  #wait(record: NewRecord, error: unknown, counts: boolean, payload: EachBatchPayload): 'wait' {
    const { telemetry, random, options } = this.#ports
    const { topic, partition, offset, id: messageId, identity } = record
    const { tries, attempts: attempt } = this.#memory(topic, partition).failed(identity, counts)
    const waitMs = backoff(tries, random(), options.retry)
    const why = { code: codeOf(error), error: stackOf(error) }
    telemetry.emit('apply_failed', { consumer: options.consumer, topic, partition, offset, messageId, attempt, ...why, waitMs })
    this.#pauses.begin(payload, waitMs)
    return 'wait'
  }

  #memory(topic: string, partition: number): PartitionMemory {
    const name = `${topic}/${partition}`
    let memory = this.#partitions.get(name)
    if (!memory) {
      memory = new PartitionMemory()
      this.#partitions.set(name, memory)
    }
    return memory
  }
}
