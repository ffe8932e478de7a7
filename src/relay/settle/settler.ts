import type { Clock } from '../../running/clock.ts'
import type { StoreSession, Unsettled } from '../../store/store.ts'
import type { CarriedRow } from '../state/claim.ts'
import type { InFlight } from '../state/in-flight.ts'
import { type LockedRows, lockedAgainMs } from '../state/locked-rows.ts'
import { Signal } from '../state/signal.ts'
import type { Telemetry } from '../telemetry.ts'
import { KeptRows } from './kept-rows.ts'

/** Rows of one delete statement. */
const settleRows = 5_000

/**
 * After a delete of fewer rows than this the settler rests for so many milliseconds: what is acknowledged meanwhile goes with the next one.
 * A trickle of messages would otherwise be a trickle of commits, each of which the application's own commits wait behind.
 */
const rest = { rows: 200, ms: 20 }

/** What the settler needs from its surroundings. */
export interface SettlerDeps {
  clock: Clock
  telemetry: Telemetry
  inFlight: InFlight
  locked: LockedRows
  onSettled: () => void
}

/**
 * Deletes what Kafka has acknowledged: one statement outstanding, which takes all that was acknowledged by then. A row that somebody has
 * locked keeps no other: it is left out, and tried again once in a while. So is one that is there after its delete (rule 12).
 */
export class Settler {
  readonly #deps: SettlerDeps
  readonly #work: Signal
  #acked: CarriedRow[] = []
  readonly #kept: KeptRows
  /** Acknowledged rows that could not be deleted, those first that were tried the longest ago. */
  #left: CarriedRow[] = []
  /** When they are tried again, on the relay's clock. */
  #retryAt = Number.POSITIVE_INFINITY

  constructor(deps: SettlerDeps) {
    this.#deps = deps
    this.#work = new Signal(deps.clock)
    this.#kept = new KeptRows(deps)
  }

  /** Takes acknowledged rows. They are kept across sessions until they are deleted. */
  add(rows: readonly CarriedRow[]): void {
    for (const row of rows) this.#acked.push(row)
    this.#work.raise()
  }

  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    while (!signal.aborted) {
      if (clock.now() >= this.#retryAt) await this.#retry(session)
      if (this.#acked.length === 0) {
        await this.#work.wait(signal, this.#left.length === 0 ? undefined : Math.max(0, this.#retryAt - clock.now()))
        continue
      }
      const rows = await this.#settle(session)
      if (rows < rest.rows) await clock.wait(rest.ms, signal)
    }
  }

  /** Returns how many rows it took. */
  async #settle(session: StoreSession): Promise<number> {
    const rows = inOrder(this.#acked.slice(0, settleRows))
    const sentAt = this.#deps.clock.now()
    const left = (await session.settle(rows)) === 'done' ? [] : await session.settleUnlocked(rows)
    // Only `add` has changed it meanwhile, at its end.
    this.#acked.splice(0, rows.length)
    this.#settled(rows, left, sentAt)
    return rows.length
  }

  async #retry(session: StoreSession): Promise<void> {
    const rows = inOrder(this.#left.slice(0, settleRows))
    const sentAt = this.#deps.clock.now()
    const left = await session.settleUnlocked(rows)
    this.#left = this.#left.slice(rows.length)
    this.#retryAt = Number.POSITIVE_INFINITY
    this.#settled(rows, left, sentAt)
  }

  #settled(rows: readonly CarriedRow[], left: readonly Unsettled[], sentAt: number): void {
    const { clock, telemetry, onSettled } = this.#deps
    const stay = new Map(left.map(({ id, kept }) => [id, kept]))
    // First: what begins to wait must not come after the end of what waited before.
    for (const row of rows) if (stay.has(row.id)) this.#stays(row, stay.get(row.id)!)
    for (const row of rows) if (!stay.has(row.id)) this.#isGone(row)
    this.#kept.tell()
    if (this.#left.length > 0) this.#retryAt = Math.min(this.#retryAt, clock.now() + lockedAgainMs)
    if (rows.length > left.length) telemetry.emit('settled', { rows: rows.length - left.length, ms: clock.now() - sentAt })
    onSettled()
  }

  /** The row could not be deleted; `kept`: nobody has locked it. */
  #stays(row: CarriedRow, kept: boolean): void {
    this.#left.push(row)
    if (kept) {
      this.#kept.met(row)
      this.#deps.locked.over(row)
    } else {
      this.#deps.locked.met(row)
      this.#kept.over(row)
    }
  }

  #isGone(row: CarriedRow): void {
    this.#deps.inFlight.deleted(row)
    this.#deps.locked.over(row)
    this.#kept.over(row)
  }
}

/** One order for all relays: two that delete the same rows in different orders would deadlock. */
const inOrder = (rows: CarriedRow[]): CarriedRow[] => rows.sort((a, b) => a.bucket - b.bucket || a.id - b.id)
