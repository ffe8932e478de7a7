import type { Fetch, Fetched, OutboxRow, Scan, StoreSession } from '../../store/store.ts'
import type { RelayContext } from '../context.ts'
import type { Notifications } from '../notifications.ts'
import type { Lane } from '../publish/lane.ts'
import type { Topics } from '../publish/topics.ts'
import type { Claim } from '../state/claim.ts'
import { fullLaneMs, type Last, rowsOf, scansOf } from './fetch-plan.ts'
import { Mark } from './low-water-mark.ts'
import { nextPollMs } from './pace.ts'
import { route } from './route.ts'

/** What nobody sets but tests of the reader. */
export interface ReaderTuning {
  /**
   * Milliseconds between two questions for the low-water mark, at least: it only saves work, and each costs the database as much as a fetch.
   * What comes above it meanwhile is read over again, by index: a thousand rows are a millisecond.
   */
  markMs: number
  /** Rows of one bucket that a fetch scans while topics are left out, unless that takes it nowhere: 64,000 in all, a fraction of a second. */
  scanRows: number
}

const readerTuning: ReaderTuning = { markMs: 100, scanRows: 1_000 }

/** Every bucket is read from its beginning once in so many milliseconds: a fault of the mark becomes a delay, never a loss. */
export const sweepMs = 600_000

/**
 * A look that ended above the mark, where the position cannot follow it, goes further the next time, up to so many times as far: beyond that
 * a statement might not end in time.
 */
const lookGrowth = 4

/** Ids that a fetch leaves out because stuck lanes have skipped them, at most; each takes some 20 bytes of the statement. */
const mostSkippedIds = 20_000

/** The part of a fetch that one bucket has. */
interface Part {
  what: Fetch
  scan: Scan
  /** The mark when the fetch was sent. */
  mark: number
  /** Whether the answer ended within the bucket. */
  isCut: boolean
  /** Whether the scan ended at the number of rows that it may look at. */
  isEnded: boolean
}

/**
 * Reads the next rows of the relay's buckets, in id order, one statement at a time, and puts each into its lane. Below the settled mark a
 * position is a plain cursor; above it rows may still come to light, so the position stays and the rows in flight are left out of the next
 * fetch.
 * Keeps rules 7, 8, 9 and 10 of docs/protocol.md.
 */
export class Reader {
  readonly #context: RelayContext
  readonly #topics: Topics
  readonly #notifications: Notifications
  readonly #scanRows: number
  readonly #mark: Mark
  #turn = 0
  #active = 0
  #sparse = false
  #rowBytes = 0
  #last = new WeakMap<Claim, Last>()

  constructor(context: RelayContext, topics: Topics, notifications: Notifications, tuning: ReaderTuning = readerTuning) {
    this.#context = context
    this.#topics = topics
    this.#notifications = notifications
    this.#scanRows = tuning.scanRows
    this.#mark = new Mark(context.clock, tuning.markMs)
  }

  /** Forgets what was known of a server or connection that is gone. */
  reset(): void {
    this.#mark.forget()
    this.#context.state.inFlight.doubtIds()
    this.#context.state.positions.invalidate()
  }

  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    const { clock, telemetry, state } = this.#context
    const { positions, inFlight } = state
    let idleMs = 0
    while (!signal.aborted) {
      const what = this.#plan()
      if (!what) {
        await positions.changed.wait(signal, fullLaneMs)
        continue
      }
      const { generation } = positions
      // Good for fetches that are sent after it was settled.
      const mark = this.#mark.id
      const sentAt = clock.now()
      this.#skipExcluded(what)
      inFlight.fetchSent()
      positions.invalidated.clear()
      const answer = await session.fetch(what)
      if (generation !== positions.generation || signal.aborted) continue
      const fresh = this.#take(what, answer, mark)
      telemetry.emit('fetched', { rows: answer.rows.length, ms: clock.now() - sentAt })
      void this.#mark.advance(session).catch(() => {
        // The session is ending, and tells so itself.
      })
      const poll = nextPollMs(idleMs, fresh, what.limit, this.#notifications.maxPollMs)
      idleMs = fresh > 0 ? 0 : poll
      this.#sparse = poll > 0
      // Wake-ups and deletes do not end the rest after rows: otherwise each would trigger a fetch of a few rows.
      if (poll > 0) await (fresh > 0 ? positions.invalidated : positions.changed).wait(signal, poll)
    }
  }

  /** Ids that stuck lanes have skipped above the positions, of all buckets. */
  get #skippedIds(): number[] {
    return this.#context.state.claims.all.flatMap(({ skipped }) => [...skipped.ids])
  }

  /** In the order of their buckets. */
  get #readable(): Claim[] {
    return this.#context.state.claims.all.filter((claim) => !claim.leaving).sort((a, b) => a.bucket - b.bucket)
  }

  /** The next fetch, or nothing while there is no room or no bucket to read. */
  #plan(): Fetch | undefined {
    const { settings, fetchRows, clock, state } = this.#context
    const { inFlight, claims } = state
    const { maxRowBytes } = settings
    if (inFlight.tight) this.#topics.yieldRoom()
    const bytes = inFlight.freeBytes
    const limit = rowsOf({ rows: Math.floor(state.freeRows), bytes, rowBytes: this.#rowBytes, fetchRows })
    if (limit === 0) return undefined
    for (const claim of claims.all) claim.position = claim.skipped.past(claim.position)
    const found = { turn: this.#turn++, active: this.#active, sparse: this.#sparse }
    const scans = scansOf(this.#readable, this.#last, { limit, ...found, now: clock.now(), lookRows: this.#scanRows })
    if (scans.length === 0) return undefined
    return {
      scans,
      limit,
      withoutTopics: this.#topics.closed().map((topic) => topic.name),
      withoutIds: [
        ...inFlight.idsAbove((bucket) => claims.get(bucket)?.position ?? Number.POSITIVE_INFINITY),
        ...this.#skippedIds,
      ],
      maxRowBytes,
      maxBytes: bytes,
    }
  }

  /** Topics that the fetch leaves out skip everything from where it starts: above the mark the position cannot tell what was skipped. */
  #skipExcluded(what: Fetch): void {
    for (const name of what.withoutTopics) {
      const topic = this.#topics.get(name)
      for (const scan of what.scans) topic?.skippedFrom.skip(scan.bucket, scan.after + 1)
    }
  }

  /** Puts the rows where they belong and moves the positions on. Returns how many were not in flight already. */
  #take(what: Fetch, answer: Fetched, mark: number): number {
    const cut = answer.truncated || answer.rows.length >= what.limit
    let at = 0
    let active = 0
    let bytes = 0
    let known = 0
    for (const scan of what.scans) {
      const first = at
      while (at < answer.rows.length && answer.rows[at]!.bucket === scan.bucket) bytes += answer.rows[at++]!.bytes
      const rows = answer.rows.slice(first, at)
      const isCut = cut && at === answer.rows.length
      const claim = this.#context.state.claims.get(scan.bucket)
      if (claim)
        known += this.#takeBucket(claim, rows, { what, scan, mark, isCut, isEnded: answer.ended?.includes(scan.bucket) ?? false })
      if (rows.length > 0) active++
      // What the limit cut off was not looked at.
      if (isCut) break
    }
    this.#active = active
    if (answer.rows.length > 0) this.#rowBytes = Math.max(this.#rowBytes * 0.8, bytes / answer.rows.length)
    this.#context.state.positions.sawNothing = answer.rows.length === 0 && what.scans.length === this.#readable.length
    if (this.#context.state.positions.sawNothing) this.#context.state.rested.raise()
    return answer.rows.length - known
  }

  /** Puts the rows of one bucket where they belong. Returns how many were in flight already. */
  #takeBucket(claim: Claim, rows: readonly OutboxRow[], { what, scan, mark, isCut, isEnded }: Part): number {
    const lastId = rows.at(-1)?.id ?? claim.position
    this.#mark.saw(lastId)
    // Comes for its place alone: those before it were not asked for, and are skipped.
    const leftOut = rows.length > 0 && what.withoutTopics.includes(rows.at(-1)!.topic)
    const ended = isEnded || leftOut
    const lanes = new Set<Lane>()
    const skipped = new SkippedRun(claim, scan.after, mark)
    let clash: OutboxRow | undefined
    let known = 0
    for (const row of leftOut ? rows.slice(0, -1) : rows) {
      const where = route(row, claim, this.#context, this.#topics)
      if (where === 'clash') {
        clash = row
        break
      }
      if (where === 'skipped') {
        skipped.add(row)
        continue
      }
      skipped.endBefore(row)
      if (where === 'known') known++
      else if (where !== 'none') lanes.add(where)
    }
    const whole = !clash && !ended && !isCut && rows.length < scan.limit
    const reached = whole ? mark : clash ? clash.id - 1 : lastId
    claim.position = Math.max(claim.position, Math.min(mark, reached))
    skipped.endAt(reached)
    known += this.#leaveOut(claim, skipped.rows)
    const lookRows = this.#scanRows
    const stands = ended && claim.position < lastId
    const look = stands ? Math.min(scan.look * 2, lookRows * lookGrowth) : lookRows
    this.#last.set(claim, { lane: lanes.size === 1 ? [...lanes][0] : undefined, at: this.#context.clock.now(), look })
    // Nothing is gained by looking there again at once: until the mark moves on, it would be all that the database does.
    return stands ? known + 1 : known
  }

  /**
   * Above the mark a position cannot go past what stuck lanes have skipped: the next fetch leaves it out by its id. Returns how many rows it
   * will read once more: leaving out more would cost the database more than reading them.
   */
  #leaveOut({ skipped, position }: Claim, rows: readonly OutboxRow[]): number {
    const above = rows.filter(({ id }) => id > position)
    if (above.length === 0) return 0
    const room = Math.max(0, mostSkippedIds - this.#skippedIds.length)
    for (const { id } of above.slice(0, room)) skipped.addId(id)
    return Math.max(0, above.length - room)
  }
}

/** The rows of one answer that stuck lanes skip, and the ranges that are all theirs. */
class SkippedRun {
  readonly rows: OutboxRow[] = []
  readonly #claim: Claim
  readonly #mark: number
  /** Id of the last row before the run. */
  #from: number
  #running = false

  constructor(claim: Claim, from: number, mark: number) {
    this.#claim = claim
    this.#from = from
    this.#mark = mark
  }

  add(row: OutboxRow): void {
    this.rows.push(row)
    this.#running = true
  }

  /** A row that is not theirs. */
  endBefore(row: OutboxRow): void {
    this.endAt(row.id - 1)
    this.#from = row.id
  }

  /** Everything up to that id was looked at. */
  endAt(id: number): void {
    if (this.#running) this.#claim.skipped.addRange(this.#from, Math.min(id, this.#mark))
    this.#running = false
  }
}
