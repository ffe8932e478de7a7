import type { BatchName, BatchState, StoreSession } from '../../store/store.ts'
import type { Outcome } from '../../transport/transport.ts'
import type { CarriedRow } from '../state/claim.ts'

/** A batch with its numbers, as a lane has it. */
export interface NumberedBatch extends BatchName {
  readonly rows: readonly CarriedRow[]
  /** When it was recorded, Unix time in milliseconds. */
  readonly recordedAt: number
  /** Id of the cluster that gave the producer id, if that is known. */
  readonly cluster?: string | undefined
  /** The mark of that cluster, of a batch that was recorded before this session. */
  readonly mark?: string
  /** It cannot be sent under its numbers any more: whether it was published is looked up in the log. */
  readonly lookUp?: boolean
}

/** The name of a batch as a text. */
export const nameOf = ({ producerId, epoch, topic, partition, sequence }: BatchName): string =>
  `${producerId}/${epoch}/${topic}/${partition}/${sequence}`

/** What became of a batch that is not sent again under its numbers; `gone`: it is not recorded any more, and its buckets are to be read again. */
export type Decided = Outcome | 'gone'

/**
 * What the database is told of a batch, before it is sent and when its outcome is decided. The lanes call it and do not know which one runs:
 * `Settler` (at least once) or `Recorder` (exactly once).
 */
export interface Settlement {
  /**
   * Whether batches are recorded. Then one that is let go of is sent again by the next owner of its buckets, under its numbers: its lane keeps it
   * while one of its buckets is this relay's, and never uses its producer id again afterwards.
   */
  readonly records: boolean
  /**
   * Before a batch is sent for the first time. Resolves with the buckets that keep it from being sent; with none it may be sent. Rejects if nobody
   * knows whether it is recorded.
   */
  begin(batch: NumberedBatch): Promise<ReadonlySet<number>>
  /** Kafka has the batch. */
  acknowledged(rows: readonly CarriedRow[], batch: BatchName | undefined): void
  /**
   * The batch is not to be sent again under its numbers, because of this outcome. Resolves with what to act on: the outcome itself, when nothing of
   * the batch is in the log and nobody sends it any more. `doubtful`: an earlier copy may be in the log.
   */
  decide(batch: NumberedBatch, outcome: Outcome, doubtful: boolean): Promise<Decided>
  /** What the table says of the batch. */
  stateOf(batch: NumberedBatch): Promise<BatchState>
  /** The lane has let go of the batch, which stays recorded. */
  left(batch: BatchName): void
  /** Works in one session until it is over. */
  run(session: StoreSession, signal: AbortSignal): Promise<void>
}

/** The one of the mode that the relay runs in. The mode changes between two sessions, when no lane has a batch. */
export function ofMode(current: () => Settlement): Settlement {
  return {
    get records() {
      return current().records
    },
    begin: (batch) => current().begin(batch),
    acknowledged: (rows, batch) => current().acknowledged(rows, batch),
    decide: (batch, outcome, doubtful) => current().decide(batch, outcome, doubtful),
    stateOf: (batch) => current().stateOf(batch),
    left: (batch) => current().left(batch),
    run: (session, signal) => current().run(session, signal),
  }
}
