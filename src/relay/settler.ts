import type { Clock } from '../running/clock.ts'
import type { StoreSession } from '../store/store.ts'
import type { CarriedRow } from './claim.ts'
import type { Hand } from './hand.ts'
import { Latch } from './latch.ts'
import { type LockedRows, lockedAgainMs } from './locked-rows.ts'
import type { Telemetry } from './telemetry.ts'

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
  hand: Hand
  locked: LockedRows
  onSettled: () => void
}

/**
 * Deletes what Kafka has acknowledged: one statement outstanding, which takes all that was acknowledged by then. A row that somebody has
 * locked keeps no other: it is left out, and tried again once in a while (rule 12).
 */
export class Settler {
  readonly #deps: SettlerDeps
  readonly #latch: Latch
  #acked: CarriedRow[] = []
  /** Acknowledged rows that somebody has locked, those first that were tried the longest ago. */
  #locked: CarriedRow[] = []
  /** When they are tried again, on the relay's clock. */
  #retryAt = Number.POSITIVE_INFINITY

  constructor(deps: SettlerDeps) {
    this.#deps = deps
    this.#latch = new Latch(deps.clock)
  }

  /** Takes acknowledged rows. They are kept across sessions until they are deleted. */
  add(rows: readonly CarriedRow[]): void {
    for (const row of rows) this.#acked.push(row)
    this.#latch.raise()
  }

  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    const { clock } = this.#deps
    while (!signal.aborted) {
      if (clock.now() >= this.#retryAt) await this.#retry(session)
      if (this.#acked.length === 0) {
        await this.#latch.wait(signal, this.#locked.length === 0 ? undefined : Math.max(0, this.#retryAt - clock.now()))
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
    const locked = (await session.settle(rows)) ? [] : await this.#unlocked(session, rows)
    // Only `add` has changed it meanwhile, at its end.
    this.#acked.splice(0, rows.length)
    this.#settled(rows, locked, sentAt)
    return rows.length
  }

  async #retry(session: StoreSession): Promise<void> {
    const rows = inOrder(this.#locked.slice(0, settleRows))
    const sentAt = this.#deps.clock.now()
    const locked = await this.#unlocked(session, rows)
    this.#locked = this.#locked.slice(rows.length)
    this.#retryAt = Number.POSITIVE_INFINITY
    this.#settled(rows, locked, sentAt)
  }

  async #unlocked(session: StoreSession, rows: readonly CarriedRow[]): Promise<CarriedRow[]> {
    const left = new Set((await session.settleUnlocked(rows)).map(({ id }) => id))
    return rows.filter((row) => left.has(row.id))
  }

  #settled(rows: readonly CarriedRow[], locked: readonly CarriedRow[], sentAt: number): void {
    const { clock, telemetry, hand, onSettled } = this.#deps
    for (const row of locked) this.#deps.locked.met(row)
    const stay = new Set(locked)
    for (const row of rows) {
      if (stay.has(row)) continue
      hand.deleted(row)
      this.#deps.locked.over(row)
    }
    this.#locked.push(...locked)
    if (this.#locked.length > 0) this.#retryAt = Math.min(this.#retryAt, clock.now() + lockedAgainMs)
    if (rows.length > locked.length) telemetry.emit('settled', { rows: rows.length - locked.length, ms: clock.now() - sentAt })
    onSettled()
  }
}

/** One order for all relays: two that delete the same rows in different orders would deadlock. */
const inOrder = (rows: CarriedRow[]): CarriedRow[] => rows.sort((a, b) => a.bucket - b.bucket || a.id - b.id)
