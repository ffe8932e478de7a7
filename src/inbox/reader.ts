import type { EachBatchPayload, KafkaMessage } from 'kafkajs'
import { backoff } from '../relay/backoff.ts'
import type { Clock } from '../relay/clock.ts'
import type { Telemetry } from '../relay/telemetry.ts'
import type { Applier, Readable } from './apply.ts'
import { Beating } from './beating.ts'
import { type Decoded, decode } from './decode.ts'
import { codeOf, speaksAgainst } from './failure.ts'
import type { ResolvedInbox } from './options.ts'
import { PartitionMemory } from './partition.ts'
import { type InboxRecord, recordOf } from './record.ts'
import type { InboxEvents } from './telemetry.ts'

/**
 * Milliseconds of work before the other partitions have their turn: kafkajs fetches again only when all batches of the last fetch are
 * through.
 */
const turnMs = 1_000

/** What a reader works with. */
export interface ReaderPorts {
  options: ResolvedInbox
  applier: Applier
  telemetry: Telemetry<InboxEvents>
  clock: Clock
  random: () => number
}

/** The next records of a batch that belong together: to pass over, to apply in one transaction, or one that cannot be read. */
type Step =
  | { do: 'skip'; end: number }
  | { do: 'apply'; end: number; messages: Readable[] }
  | { do: 'park'; end: number; record: InboxRecord; reason: string; error: string }
  | { do: 'fail'; record: InboxRecord; cause: unknown }

/**
 * Reads batches of kafkajs. Nothing that a handler does reaches kafkajs: an error would take the whole consumer away, with all its
 * partitions. A partition whose message fails is paused, and tried again from there.
 */
export class Reader {
  readonly #ports: ReaderPorts
  readonly #partitions = new Map<string, PartitionMemory>()
  readonly #waiting = new Set<NodeJS.Timeout>()

  constructor(ports: ReaderPorts) {
    this.#ports = ports
  }

  /** What kafkajs calls; needs `eachBatchAutoResolve: false`. */
  readonly eachBatch = async (payload: EachBatchPayload): Promise<void> => {
    const { batch, isRunning, isStale } = payload
    const { clock } = this.#ports
    const beating = new Beating(payload.heartbeat)
    const until = clock.now() + turnMs
    const { messages } = batch
    const resolved = (end: number) => payload.resolveOffset(messages[end - 1]!.offset)
    for (let i = 0; i < messages.length && isRunning() && !isStale() && !beating.lost && clock.now() < until; ) {
      const step = await this.#next(batch.topic, batch.partition, messages, i)
      const end = await this.#take(step, payload)
      if (end === undefined) break
      if (end > i) resolved(end)
      i = Math.max(i, end)
    }
    beating.end()
  }

  /** Forgets the waits of paused partitions. */
  stop(): void {
    for (const timer of this.#waiting) clearTimeout(timer)
    this.#waiting.clear()
  }

  /** The end of what was done, or undefined where the partition waits. The end may be the beginning: then look once more. */
  async #take(step: Step, payload: EachBatchPayload): Promise<number | undefined> {
    switch (step.do) {
      case 'skip':
        return step.end
      case 'park':
        return this.#park(step.record, { reason: step.reason, error: step.error, attempts: 0 }, step.end, payload)
      case 'fail':
        return this.#failed(step.record, step.cause, true, undefined, payload)
      case 'apply':
        return this.#apply(step.messages, step.end, payload)
    }
  }

  async #apply(messages: Readable[], end: number, payload: EachBatchPayload): Promise<number | undefined> {
    const { applier, telemetry, clock, options } = this.#ports
    const { consumer } = options
    const { topic, partition } = messages[0]!.record
    const start = clock.now()
    let begun = false
    try {
      const applied = await applier.apply(messages, () => {
        begun = true
      })
      const copies = messages.length - applied.messages - applied.behind
      const ms = Math.round(clock.now() - start)
      telemetry.emit('applied', { consumer, topic, partition, messages: applied.messages, copies, ms })
      if (applied.behind > 0) telemetry.emit('messages_behind', { consumer, topic, partition, messages: applied.behind })
      return end
    } catch (error) {
      if (messages.length === 1) return this.#failed(messages[0]!.record, error, begun, end, payload)
      if (!speaksAgainst(error, begun)) return this.#wait(messages[0]!.record, error, 1, 0, payload)
      // One of them is at fault: it shows when each has a transaction of its own.
      this.#memory(topic, partition).split(messages.at(-1)!.record.offset)
      return 0
    }
  }

  async #failed(
    record: InboxRecord,
    error: unknown,
    begun: boolean,
    end: number | undefined,
    payload: EachBatchPayload,
  ): Promise<number | undefined> {
    const { park } = this.#ports.options
    const { tries, attempts } = this.#memory(record.topic, record.partition).failed(record.offset, speaksAgainst(error, begun))
    if (park === undefined || attempts < park.after) return this.#wait(record, error, tries, attempts, payload)
    const why = { reason: 'HANDLER_FAILED', error: error instanceof Error ? error.message : String(error), attempts }
    return this.#park(record, why, end ?? indexAfter(payload, record), payload)
  }

  async #park(
    record: InboxRecord,
    why: { reason: string; error: string; attempts: number },
    end: number,
    payload: EachBatchPayload,
  ): Promise<number | undefined> {
    const { applier, telemetry, options } = this.#ports
    const { topic, partition, offset, id: messageId } = record
    try {
      if (await applier.parkAlone(record, why)) {
        const { reason, attempts } = why
        telemetry.emit('message_parked', { consumer: options.consumer, topic, partition, offset, messageId, reason, attempts })
      }
      return end
    } catch (error) {
      const { tries, attempts } = this.#memory(topic, partition).failed(offset, false)
      return this.#wait(record, error, tries, attempts, payload)
    }
  }

  /** Pauses the partition, and lets kafkajs read it again from this record on. */
  #wait(record: InboxRecord, error: unknown, tries: number, attempt: number, payload: EachBatchPayload): undefined {
    const { telemetry, random, options } = this.#ports
    const waitMs = backoff(tries, random(), options.retry)
    const { topic, partition, offset, id: messageId } = record
    const code = codeOf(error)
    telemetry.emit('apply_failed', { consumer: options.consumer, topic, partition, offset, messageId, attempt, code, waitMs })
    const resume = payload.pause()
    const timer = setTimeout(() => {
      this.#waiting.delete(timer)
      resume()
    }, waitMs)
    this.#waiting.add(timer)
  }

  async #next(topic: string, partition: number, messages: readonly KafkaMessage[], from: number): Promise<Step> {
    const { batch = 1 } = this.#ports.options
    const memory = this.#memory(topic, partition)
    const readable: Readable[] = []
    let i = from
    for (; i < messages.length && readable.length < batch; i++) {
      const record = recordOf(topic, partition, messages[i]!)
      const decoded = await this.#decode(record)
      if (decoded === 'skip') continue
      if ('event' in decoded) {
        readable.push({ record, event: decoded.event })
        if (!memory.singly(record.offset)) continue
        i++
        break
      }
      // Those before it first.
      if (readable.length > 0) break
      if ('cause' in decoded) return { do: 'fail', record, cause: decoded.cause }
      return { do: 'park', end: i + 1, record, reason: decoded.reason, error: decoded.error }
    }
    return readable.length > 0 ? { do: 'apply', end: i, messages: readable } : { do: 'skip', end: i }
  }

  async #decode(record: InboxRecord): Promise<Decoded | 'skip' | { cause: unknown }> {
    const { events, handlers } = this.#ports.options
    const { type, topic } = record
    const event = type !== null && Object.hasOwn(handlers, type) ? events.find(type) : undefined
    // A type of the same name in a topic of somebody else's.
    if (event === undefined || event.topic !== topic) return 'skip'
    try {
      return await decode(record, event, events)
    } catch (cause) {
      return { cause }
    }
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

const indexAfter = ({ batch }: EachBatchPayload, { offset }: InboxRecord): number =>
  batch.messages.findIndex((message) => message.offset === offset) + 1
