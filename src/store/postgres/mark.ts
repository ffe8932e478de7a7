import type { Line } from './line.ts'
import type { Statements } from './statements.ts'

/**
 * The settled low-water mark: the highest id m such that every transaction that could still bring a row with an id up to m to light is
 * over. Two questions, in this order: the last id drawn, then who holds a lock that an INSERT takes before it draws an id. When none of
 * those is left, m is settled. A candidate that waits is never replaced by a newer one: under steady writes none would ever be settled.
 */
export class SettledMark {
  readonly #line: Line
  readonly #sql: Statements
  readonly #sequence: string
  readonly #outboxOid: number
  #settled = 0
  #candidate = 0
  #holders: Set<string> | undefined
  #started = ''

  constructor(line: Line, sql: Statements, sequence: string, outboxOid: number) {
    this.#line = line
    this.#sql = sql
    this.#sequence = sequence
    this.#outboxOid = outboxOid
  }

  /** The highest id drawn so far. */
  async lastId(): Promise<number> {
    const [drawn] = await this.#line.rows<{ id: string }>(this.#sql.lastId(this.#sequence))
    return Number(drawn!.id)
  }

  /** Asks the database once and gives the mark as it is then. Rejects when the server was started anew: its sequence may repeat ids. */
  async read(): Promise<number> {
    // One message: the second question is asked after the first has been answered, which is the order that matters.
    const questions = `${this.#sql.lastId(this.#sequence)};${this.#sql.writers(this.#outboxOid)}`
    const [[drawn], writers] = (await this.#line.results(questions)) as [{ id: string; started: string }[], { vxid: string }[]]
    const last = Number(drawn!.id)
    if (this.#started !== '' && drawn!.started !== this.#started) throw new Error('The database server was started anew.')
    this.#started = drawn!.started
    // setval or TRUNCATE … RESTART IDENTITY: ids come a second time, so everything known about them is void.
    if (last < this.#settled) throw new Error('The sequence of the outbox went back.')
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
}
