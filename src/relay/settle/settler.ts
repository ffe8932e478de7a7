import type { BatchState, StoreSession } from '../../store/store.ts'
import type { Outcome } from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'
import type { CarriedRow } from '../state/claim.ts'
import { inOrder, LeftRows } from './left-rows.ts'
import type { NumberedBatch, Settlement } from './settlement.ts'

/** Rows of one delete statement. */
const settleRows = 5_000

/**
 * After a delete of fewer rows than this the settler rests for so many milliseconds: what is acknowledged meanwhile goes with the next one.
 * A trickle of messages would otherwise be a trickle of commits, each of which the application's own commits wait behind.
 */
export const rest = { rows: 200, ms: 20 }

/** No bucket. */
const none: ReadonlySet<number> = new Set()

/**
 * Deletes what Kafka has acknowledged: one statement outstanding, which takes all that was acknowledged by then. A row that somebody has
 * locked keeps no other: it is left out, and tried again once in a while. So is one that is there after its delete (rule 12).
 */
export class Settler implements Settlement {
  readonly records = false
  readonly #context: RelayContext
  readonly #left: LeftRows

  constructor(context: RelayContext) {
    this.#context = context
    this.#left = new LeftRows(context)
  }

  async begin(): Promise<ReadonlySet<number>> {
    return none
  }

  acknowledged(rows: readonly CarriedRow[]): void {
    this.#context.state.acked.push(rows)
  }

  async decide(_batch: NumberedBatch, outcome: Outcome): Promise<Outcome> {
    return outcome
  }

  /** It records none. */
  async stateOf(): Promise<BatchState> {
    return 'gone'
  }

  left(): void {}

  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    const { clock, state } = this.#context
    const { acked } = state
    while (!signal.aborted) {
      await this.#left.retry(session)
      if (acked.length === 0) {
        await acked.pushed.wait(signal, this.#left.dueMs)
        continue
      }
      const rows = await this.#settle(session)
      if (rows < rest.rows) await clock.wait(rest.ms, signal)
    }
  }

  /** Returns how many rows it took. */
  async #settle(session: StoreSession): Promise<number> {
    const { acked } = this.#context.state
    const rows = inOrder(acked.first(settleRows))
    const sentAt = this.#context.clock.now()
    const left = (await session.settle(rows)) === 'done' ? [] : await session.settleUnlocked(rows)
    acked.taken(rows.length)
    this.#left.settled(rows, left, sentAt)
    return rows.length
  }
}
