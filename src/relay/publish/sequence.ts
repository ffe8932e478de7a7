import type { BatchNumbers, ProducerEpoch } from '../../transport/transport.ts'
import type { CarriedRow } from '../state/claim.ts'
import type { Producer } from './producer.ts'

/** A partition that lost the sequence this many times in a row keeps none: its lane goes on without numbers. */
const mostLost = 3

/** Sequences up to which an epoch is used. Kafka's begin again at 0 after 2^31 - 1; a new epoch comes long before. */
const mostRecords = 2 ** 30

/** Other rows were about to be sent under numbers that a batch has: a bug. The broker would acknowledge them and drop them. */
export class NumbersReused extends Error {
  override readonly name = 'NumbersReused'
}

/**
 * The numbers of a lane's batches: producer id, epoch and the next sequence. Kept in memory only. The sequence advances by acknowledgement
 * only, and each set of numbers belongs to one batch forever. Its lane owns it.
 * Keeps rules 21 and 27 of docs/protocol.md.
 */
export class Sequence {
  readonly #producer: Producer
  #epoch: ProducerEpoch | undefined
  #next = 0
  /** The batch that has the next numbers, once it was sent. */
  #sent: readonly CarriedRow[] | undefined
  #doubtful = false
  /** The numbers are another producer's, for one batch only. */
  #adopted = false
  /** Times that the partition did not know the sequence, without an acknowledgement in between. */
  #lost = 0

  constructor(producer: Producer) {
    this.#producer = producer
  }

  /** Whether batches have numbers. */
  get numbered(): boolean {
    return this.#epoch !== undefined
  }

  /** Whether a copy of the batch that was sent may be in the log. */
  get doubtful(): boolean {
    return this.#doubtful
  }

  /**
   * Gets a producer id and epoch if there is none.
   *
   * @throws TransportError No broker answered, or not with an id.
   */
  async begin(): Promise<void> {
    if (this.#epoch || (this.#lost >= mostLost && !this.#producer.isNeeded)) return
    this.#epoch = await this.#producer.fresh()
    this.#next = 0
  }

  /**
   * Id of the cluster to which numbers belong; undefined: nobody knows.
   *
   * @throws TransportError No broker answered.
   */
  cluster(): Promise<string | undefined> {
    return this.#producer.cluster()
  }

  /**
   * The numbers of a batch that is about to be sent, for the first time or again; undefined: it is sent without.
   *
   * @throws NumbersReused The numbers belong to a batch of other rows. They are forgotten by then.
   */
  numbersOf(rows: readonly CarriedRow[]): BatchNumbers | undefined {
    if (!this.#epoch) return undefined
    const sent = this.#sent
    if (sent && (sent.length !== rows.length || sent.some((row, i) => row !== rows[i]))) {
      this.forget()
      throw new NumbersReused('Other rows under the numbers of a batch that was sent.')
    }
    // A copy of the list: the lane may change its own.
    this.#sent ??= [...rows]
    return { ...this.#epoch, sequence: this.#next }
  }

  /** The batch was not sent after all: its numbers are free. */
  unsent(): void {
    this.#sent = undefined
  }

  /** Sends a recorded batch under its own numbers. What comes after it gets others. */
  adopt({ producerId, epoch, sequence }: BatchNumbers, rows: readonly CarriedRow[]): void {
    this.#epoch = { producerId, epoch }
    this.#next = sequence
    this.#sent = [...rows]
    this.#doubtful = true
    this.#adopted = true
  }

  /** The outcome of the batch is unknown: from now on a copy of it may be in the log. */
  doubt(): void {
    this.#doubtful = this.numbered
  }

  acknowledged(records: number): void {
    if (!this.#epoch) return
    this.#lost = 0
    this.#next += records
    this.#sent = undefined
    this.#doubtful = false
    if (this.#adopted || this.#next > mostRecords) this.forget()
  }

  /** What comes next is another batch than the one that was sent: it gets an epoch of its own. */
  forget(): void {
    this.#epoch = undefined
    this.#sent = undefined
    this.#doubtful = false
    this.#adopted = false
  }

  /**
   * The batch stays recorded, and others send it under its numbers. A higher epoch of the producer id would keep the partition from taking it: what
   * comes next gets another id.
   */
  leave(): void {
    if (!this.#adopted) this.#producer.change()
    this.forget()
  }

  /** The partition does not know the sequence. */
  lost(): void {
    this.#lost++
    this.forget()
  }
}
