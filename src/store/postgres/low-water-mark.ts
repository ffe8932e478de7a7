import { IdsRestarted } from '../store.ts'
import type { Line } from './line.ts'
import type { Statements } from './statements.ts'

/** What the sequence says of itself. */
export interface Drawn {
  /** The last id drawn. */
  id: string
  /** Start of the server. */
  started: string
  /** Which table and which file of the sequence the ids are of. */
  ids: string
  /** When it was asked, in seconds by the clock of the database. */
  at: string
  /** A row was written since the last heartbeat with an id that was settled then. */
  again: boolean
}

/** Ids up to this one are asked for at each heartbeat: a restart by setval begins there, and more would have to pass too many dead rows. */
const lowIds = 1_000

/**
 * The settled low-water mark: the highest id m such that every transaction that could still bring a row with an id up to m to light is
 * over. Two questions, in this order: the last id drawn, then who holds a lock that an INSERT takes before it draws an id. When none of
 * those is left, m is settled. A candidate that waits is never replaced by a newer one: under steady writes none would ever be settled.
 *
 * It also notices that ids have restarted, or that another server answers, and ends the session: everything known of ids is void then
 * (rule 7 of docs/protocol.md). The session asks for the mark while ids above it are read, and with each heartbeat, which an idle relay
 * sends as well.
 */
export class LowWaterMark {
  readonly #line: Line
  readonly #sql: Statements
  readonly #end: (error: Error) => void
  #settled = 0
  #candidate = 0
  #holders: Set<string> | undefined
  #last: Drawn | undefined
  /** What was settled when the last heartbeat asked, and when that was. */
  #before: { upTo: number; at: string } | undefined
  #asked = 0

  /** `end` ends the session. */
  constructor(line: Line, sql: Statements, end: (error: Error) => void) {
    this.#line = line
    this.#sql = sql
    this.#end = end
  }

  /** The highest id drawn so far. */
  async lastId(): Promise<number> {
    const [drawn] = await this.#line.rows<Drawn>(this.#sql.lastId())
    return Number(drawn!.id)
  }

  /** What a heartbeat asks besides; {@link answer} takes what comes back. */
  question(): string {
    this.#asked = Math.min(this.#settled, lowIds)
    return this.#sql.lastId(this.#before)
  }

  /** Throws, and ends the session, when ids have restarted. */
  answer(drawn: Drawn): void {
    this.#judge(drawn)
    this.#before = { upTo: this.#asked, at: drawn.at }
  }

  /** Asks the database once and gives the mark as it is then. Rejects, and ends the session, as {@link answer} does. */
  async read(): Promise<number> {
    // One message: the second question is asked after the first has been answered, which is the order that matters.
    const questions = `${this.#sql.lastId()};${this.#sql.writers()}`
    const [[drawn], writers] = (await this.#line.results(questions)) as [Drawn[], { vxid: string }[]]
    this.#judge(drawn!)
    const last = Number(drawn!.id)
    const now = new Set(writers.map((writer) => writer.vxid))
    if (this.#holders) {
      for (const holder of this.#holders) if (!now.has(holder)) this.#holders.delete(holder)
      if (this.#holders.size > 0) return this.#settled
      this.#settled = this.#candidate
    }
    this.#candidate = last
    this.#holders = now
    if (now.size === 0) {
      this.#settled = last
      this.#holders = undefined
    }
    return this.#settled
  }

  #judge(drawn: Drawn): void {
    const error = this.#last && voided(this.#last, drawn)
    if (error) {
      this.#end(error)
      throw error
    }
    this.#last = drawn
  }
}

/** Why nothing that was known of ids holds any more. */
function voided(before: Drawn, now: Drawn): Error | undefined {
  if (now.started !== before.started) return new Error('The database server was restarted.')
  if (now.ids !== before.ids) return new IdsRestarted('The table outbox or the sequence of its ids was replaced.')
  if (Number(now.id) < Number(before.id)) return new IdsRestarted('The sequence of the outbox went back.')
  return now.again ? new IdsRestarted('Ids of the outbox came a second time.') : undefined
}
