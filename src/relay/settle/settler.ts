import type { StoreSession, Unsettled } from '../../store/store.ts'
import type { RelayContext } from '../context.ts'
import type { CarriedRow } from '../state/claim.ts'
import { lockedAgainMs } from '../state/locked-rows.ts'
import { KeptRows } from './kept-rows.ts'

/** Rows of one delete statement. */
const settleRows = 5_000

/**
 * After a delete of fewer rows than this the settler rests for so many milliseconds: what is acknowledged meanwhile goes with the next one.
 * A trickle of messages would otherwise be a trickle of commits, each of which the application's own commits wait behind.
 */
const rest = { rows: 200, ms: 20 }

/**
 * Deletes what Kafka has acknowledged: one statement outstanding, which takes all that was acknowledged by then. A row that somebody has
 * locked keeps no other: it is left out, and tried again once in a while. So is one that is there after its delete (rule 12).
 */
export class Settler {
  readonly #context: RelayContext
  readonly #kept: KeptRows
  /** Acknowledged rows that could not be deleted, those first that were tried the longest ago. */
  #left: CarriedRow[] = []
  /** When they are tried again, on the relay's clock. */
  #retryAt = Number.POSITIVE_INFINITY

  constructor(context: RelayContext) {
    this.#context = context
    this.#kept = new KeptRows(context.clock, context.telemetry, context.state.inFlight)
  }

  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    const { clock, state } = this.#context
    const { acked } = state
    while (!signal.aborted) {
      if (clock.now() >= this.#retryAt) await this.#retry(session)
      if (acked.length === 0) {
        await acked.pushed.wait(signal, this.#left.length === 0 ? undefined : Math.max(0, this.#retryAt - clock.now()))
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
    this.#settled(rows, left, sentAt)
    return rows.length
  }

  async #retry(session: StoreSession): Promise<void> {
    const rows = inOrder(this.#left.slice(0, settleRows))
    const sentAt = this.#context.clock.now()
    const left = await session.settleUnlocked(rows)
    this.#left = this.#left.slice(rows.length)
    this.#retryAt = Number.POSITIVE_INFINITY
    this.#settled(rows, left, sentAt)
  }

  #settled(rows: readonly CarriedRow[], left: readonly Unsettled[], sentAt: number): void {
    const { clock, telemetry, state } = this.#context
    const stay = new Map(left.map(({ id, kept }) => [id, kept]))
    // First: what begins to wait must not come after the end of what waited before.
    for (const row of rows) if (stay.has(row.id)) this.#stays(row, stay.get(row.id)!)
    for (const row of rows) if (!stay.has(row.id)) this.#isGone(row)
    this.#kept.tell()
    if (this.#left.length > 0) this.#retryAt = Math.min(this.#retryAt, clock.now() + lockedAgainMs)
    if (rows.length > left.length) telemetry.emit('settled', { rows: rows.length - left.length, ms: clock.now() - sentAt })
    state.madeRoom()
  }

  /** The row could not be deleted; `kept`: nobody has locked it. */
  #stays(row: CarriedRow, kept: boolean): void {
    this.#left.push(row)
    if (kept) {
      this.#kept.met(row)
      this.#context.state.locked.over(row)
    } else {
      this.#context.state.locked.met(row)
      this.#kept.over(row)
    }
  }

  #isGone(row: CarriedRow): void {
    this.#context.state.inFlight.deleted(row)
    this.#context.state.locked.over(row)
    this.#kept.over(row)
  }
}

/** One order for all relays: two that delete the same rows in different orders would deadlock. */
const inOrder = (rows: CarriedRow[]): CarriedRow[] => rows.sort((a, b) => a.bucket - b.bucket || a.id - b.id)
