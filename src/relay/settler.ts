import type { Clock } from '../running/clock.ts'
import type { StoreSession } from '../store/store.ts'
import type { CarriedRow } from './claim.ts'
import type { Hand } from './hand.ts'
import { Latch } from './latch.ts'
import type { Telemetry } from './telemetry.ts'

/** Rows of one delete statement. */
const settleRows = 5_000

/**
 * After a delete of fewer rows than this the settler rests for so many milliseconds: what is acknowledged meanwhile goes with the next one.
 * A trickle of messages would otherwise be a trickle of commits, each of which the application's own commits wait behind.
 */
const rest = { rows: 200, ms: 20 }

/** Deletes what Kafka has acknowledged: one statement outstanding, which takes all that was acknowledged by then. */
export class Settler {
  readonly #deps: { clock: Clock; telemetry: Telemetry; hand: Hand; onSettled: () => void }
  readonly #latch: Latch
  #acked: CarriedRow[] = []

  constructor(deps: { clock: Clock; telemetry: Telemetry; hand: Hand; onSettled: () => void }) {
    this.#deps = deps
    this.#latch = new Latch(deps.clock)
  }

  /** Takes acknowledged rows. They are kept across sessions until they are deleted. */
  add(rows: readonly CarriedRow[]): void {
    for (const row of rows) this.#acked.push(row)
    this.#latch.raise()
  }

  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    const { clock, telemetry, hand, onSettled } = this.#deps
    while (!signal.aborted) {
      if (this.#acked.length === 0) {
        await this.#latch.wait(signal)
        continue
      }
      // One order for all relays: two that delete the same rows in different orders would deadlock.
      const rows = this.#acked.slice(0, settleRows).sort((a, b) => a.bucket - b.bucket || a.id - b.id)
      const sentAt = clock.now()
      await session.settle(rows)
      const gone = new Set(rows)
      this.#acked = this.#acked.filter((row) => !gone.has(row))
      for (const row of rows) hand.deleted(row)
      telemetry.emit('settled', { rows: rows.length, ms: clock.now() - sentAt })
      onSettled()
      if (rows.length < rest.rows) await clock.wait(rest.ms, signal)
    }
  }
}
