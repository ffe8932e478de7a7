import type { Consumer, EachBatchPayload, KafkaMessage } from 'kafkajs'
import { transactionOver } from '../../prisma/transaction-id.ts'
import { backoff } from '../../running/backoff.ts'
import { systemClock } from '../../running/clock.ts'
import type { Emitter } from '../../running/emitter.ts'
import { stackOf } from '../../running/stack-of.ts'
import { within } from '../../running/within.ts'
import { decode } from '../decode.ts'
import { codeOf, handlerTimeout } from '../failure.ts'
import { handledEvent, type ReceivedEvent } from '../handlers.ts'
import { inboxDefaults } from '../inbox/options.ts'
import { Heartbeat, Pauses } from '../partition.ts'
import { recordOf } from '../record.ts'
import type { InboxStatements } from '../statements.ts'
import type { ProjectionEvents } from '../telemetry.ts'
import { inTransactionFor } from '../transaction.ts'
import type { Gap } from '../watched-consumer.ts'
import type { ResolvedProjection } from './options.ts'

// Keeps rule 22 of docs/protocol-application.md.

/** What a projection's reader works with. */
export interface ProjectionReaderPorts {
  options: ResolvedProjection
  statements: InboxStatements
  telemetry: Emitter<ProjectionEvents>
  /** The partition has come to `next`. */
  reached: (topic: string, partition: number, next: bigint) => void
  /** Rejects if the topic is not the log any more that was read, or cannot be asked for. */
  check: (topic: string) => Promise<unknown>
  /** Kafka's id of a topic that was checked. */
  idOf: (topic: string) => string | null
  /** Aborts when the projection ends: a position that is being stored is given up. */
  signal: AbortSignal
}

/** Reads batches of kafkajs into a read model. A partition whose records fail is paused, and tried again from there. */
export class ProjectionReader {
  readonly #ports: ProjectionReaderPorts
  readonly #pauses = new Pauses()
  readonly #tries = new Map<string, number>()
  /** Offsets from which kafkajs goes on, by topic/partition. Not in here: unknown. */
  readonly #positions = new Map<string, bigint>()
  #storing = Promise.resolve()

  constructor(ports: ProjectionReaderPorts) {
    this.#ports = ports
  }

  /** What kafkajs calls; `consumer` is told where to go on when another member was quicker. */
  async eachBatch(payload: EachBatchPayload, consumer: Consumer): Promise<void> {
    const { isRunning, isStale } = payload
    const { topic, partition, messages } = payload.batch
    const end = BigInt(payload.batch.lastOffset()) + 1n
    const heartbeat = new Heartbeat(payload.heartbeat)
    let position = fetchedOffset(payload.batch)
    for (let i = 0; i < messages.length && isRunning() && !isStale() && !heartbeat.lost; ) {
      const batch = messages.slice(i, i + this.#ports.options.batch)
      try {
        await this.#checkJump(topic, partition, position)
        // Control records of Kafka's transactions stand behind the last record, and belong to what is passed.
        position = i + batch.length < messages.length ? BigInt(batch.at(-1)!.offset) + 1n : end
        const next = await this.#apply(topic, partition, batch, position)
        this.#tries.delete(`${topic}/${partition}`)
        this.#ports.reached(topic, partition, next)
        payload.resolveOffset(batch.at(-1)!.offset)
        // Far ahead already: another member, or this one before it was killed, has applied all of this.
        const ahead = next > end
        this.#positions.set(`${topic}/${partition}`, ahead ? next : position)
        if (ahead) {
          consumer.seek({ topic, partition, offset: String(next) })
          break
        }
        i += batch.length
      } catch (error) {
        this.#pauses.begin(payload, this.#failed(error, topic, partition, batch[0]!.offset))
        break
      }
    }
    heartbeat.end()
  }

  /**
   * Checks the log before anything is read at an offset that kafkajs did not come to record by record: it has the partition newly, or was
   * told that its offset is out of range and has jumped to the beginning.
   */
  async #checkJump(topic: string, partition: number, position: bigint): Promise<void> {
    const name = `${topic}/${partition}`
    if (this.#positions.get(name) === position) return
    await this.#ports.check(topic)
    this.#positions.set(name, position)
  }

  /** The member has other partitions now. */
  assigned(): void {
    this.#positions.clear()
  }

  /**
   * Notes offsets that hold nothing to apply. At the end of a partition the position goes behind them: once they are deleted, a position
   * before them would look as if records were missing. Elsewhere the records that follow take it along.
   */
  storeGap(gap: Gap): void {
    // kafkajs does not tell from which offset on, so it may have jumped.
    this.#positions.delete(`${gap.topic}/${gap.partition}`)
    if (gap.next < gap.end) this.#ports.reached(gap.topic, gap.partition, gap.next)
    else this.#storing = this.#storing.then(() => this.#store(gap))
  }

  /** Tries until it succeeds: kafkajs does not come back to these offsets. */
  async #store({ topic, partition, next }: Gap): Promise<void> {
    const { signal } = this.#ports
    while (!signal.aborted) {
      try {
        this.#ports.reached(topic, partition, await this.#apply(topic, partition, [], next))
        this.#tries.delete(`${topic}/${partition}`)
        return
      } catch (error) {
        await systemClock.wait(this.#failed(error, topic, partition, String(next)), signal)
      }
    }
  }

  /** Applies records in one transaction with the new place; those below the stored position are skipped. Returns the new position. */
  async #apply(topic: string, partition: number, messages: readonly KafkaMessage[], end: bigint): Promise<bigint> {
    const { options, statements, telemetry, idOf } = this.#ports
    const { prisma, name, handlers } = options
    const events: { offset: bigint; event: ReceivedEvent }[] = []
    for (const message of messages) {
      const event = await this.#read(topic, partition, message)
      if (event) events.push({ offset: BigInt(message.offset), event })
    }
    const start = performance.now()
    let records = 0
    const next = await inTransactionFor(prisma, inboxDefaults.handlerTimeoutMs, async (tx) => {
      // Locks the row: the member that has it applies, and the other one finds everything applied.
      const rows = await tx.$queryRaw<{ next: string; xid: string }[]>(statements.lockPosition, name, topic, partition)
      const { next, xid } = rows[0]!
      const stored = BigInt(next)
      if (stored >= end) return stored
      for (const { offset, event } of events) {
        if (offset < stored) continue
        records++
        await handlers[event.type]!(event, tx)
      }
      // The last statement: it fails where an earlier one did and a handler caught its error.
      const moved = await tx.$executeRaw(statements.movePosition, String(end), idOf(topic), name, topic, partition, xid)
      if (moved !== 1) throw transactionOver('the position was stored')
      return end
    })
    const ms = Math.round(performance.now() - start)
    if (records > 0) telemetry.emit('projected', { name, topic, partition, records, nextOffset: String(next), ms })
    return next
  }

  /** The event of a record; undefined for one without a handler. Throws for one that cannot be read, because a hole in a read model would stay. */
  async #read(topic: string, partition: number, message: KafkaMessage): Promise<ReceivedEvent | undefined> {
    const { options } = this.#ports
    const record = recordOf(topic, partition, message)
    const event = handledEvent(record, options)
    if (!event) return undefined
    const decoded = await within(decode(record, event, options.events), inboxDefaults.handlerTimeoutMs, handlerTimeout)
    if ('event' in decoded) return decoded.event
    throw Object.assign(new Error(decoded.error), { code: decoded.reason })
  }

  /** Emits the failure. Returns how many milliseconds to wait. */
  #failed(error: unknown, topic: string, partition: number, offset: string): number {
    const { options, telemetry } = this.#ports
    const name = `${topic}/${partition}`
    const tries = (this.#tries.get(name) ?? 0) + 1
    this.#tries.set(name, tries)
    const waitMs = backoff(tries, Math.random(), inboxDefaults.retry)
    const why = { code: codeOf(error), error: stackOf(error) }
    telemetry.emit('projection_failed', { name: options.name, topic, partition, offset, ...why, waitMs })
    return waitMs
  }

  /** After the signal and the consumer's end: forgets the waits of paused partitions; resolves when no position is being stored. */
  end(): Promise<void> {
    this.#pauses.forget()
    return this.#storing
  }
}

/** The offset from which kafkajs fetched a batch; its types lack it. */
function fetchedOffset(batch: EachBatchPayload['batch']): bigint {
  const { fetchedOffset } = batch as { fetchedOffset?: string }
  return BigInt(fetchedOffset ?? batch.firstOffset() ?? batch.lastOffset())
}
