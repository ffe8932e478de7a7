import type { StoreSession, Unsettled } from '../../store/store.ts'
import type { RelayContext } from '../context.ts'
import type { CarriedRow } from '../state/claim.ts'
import { lockedAgainMs } from '../state/locked-rows.ts'
import { KeptRows } from './kept-rows.ts'

/** Rows of one delete statement. */
const settleRows = 5_000

/**
 * Acknowledged rows that could not be deleted, because somebody has locked them or a trigger keeps them; they are tried again once in a while.
 * The settler or the recorder owns it, and tells it what each delete left.
 * Keeps rule 12 of docs/protocol.md.
 */
export class LeftRows {
  readonly #context: RelayContext
  readonly #kept: KeptRows
  /** Those first that were tried the longest ago. */
  #rows: CarriedRow[] = []
  /** When they are tried again, on the relay's clock. */
  #retryAt = Number.POSITIVE_INFINITY

  constructor(context: RelayContext) {
    this.#context = context
    this.#kept = new KeptRows(context.clock, context.telemetry, context.state.inFlight)
  }

  /** Milliseconds until they are tried again; undefined: there are none. */
  get dueMs(): number | undefined {
    return this.#rows.length === 0 ? undefined : Math.max(0, this.#retryAt - this.#context.clock.now())
  }

  /** Whether the row waits here. */
  has(row: CarriedRow): boolean {
    return this.#rows.includes(row)
  }

  /** Tries them again, if it is time; returns whether it was. */
  async retry(session: StoreSession): Promise<boolean> {
    if (this.dueMs !== 0) return false
    const rows = inOrder(this.#rows.slice(0, settleRows))
    const sentAt = this.#context.clock.now()
    const left = await session.settleUnlocked(rows)
    this.#rows = this.#rows.slice(rows.length)
    this.#retryAt = Number.POSITIVE_INFINITY
    this.settled(rows, left, sentAt)
    return true
  }

  /** These rows were to be deleted, and those are left. */
  settled(rows: readonly CarriedRow[], left: readonly Unsettled[], sentAt: number): void {
    const { clock, telemetry, state } = this.#context
    const stay = new Map(left.map(({ id, kept }) => [id, kept]))
    // First: what begins to wait must not come after the end of what waited before.
    for (const row of rows) if (stay.has(row.id)) this.#stays(row, stay.get(row.id)!)
    for (const row of rows) if (!stay.has(row.id)) this.#isGone(row)
    this.#kept.tell()
    if (this.#rows.length > 0) this.#retryAt = Math.min(this.#retryAt, clock.now() + lockedAgainMs)
    if (rows.length > left.length) telemetry.emit('settled', { rows: rows.length - left.length, ms: clock.now() - sentAt })
    state.madeRoom()
  }

  /** The row could not be deleted; `kept`: nobody has locked it. */
  #stays(row: CarriedRow, kept: boolean): void {
    this.#rows.push(row)
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
export const inOrder = (rows: CarriedRow[]): CarriedRow[] => rows.sort((a, b) => a.bucket - b.bucket || a.id - b.id)
