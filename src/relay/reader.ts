import { bucketOf } from '../message/key.ts'
import type { Clock } from '../running/clock.ts'
import type { Fetch, Fetched, OutboxRow, Scan, StoreSession } from '../store/store.ts'
import type { CarriedRow, Claim, Claims } from './claim.ts'
import type { Debt } from './debt.ts'
import type { Hand } from './hand.ts'
import type { Lane } from './lane.ts'
import { Latch } from './latch.ts'
import { Mark } from './mark.ts'
import type { Telemetry } from './telemetry.ts'
import type { Topics } from './topic.ts'
import { nextPollMs } from './wake.ts'

/** Limits of the reader. */
export interface ReaderLimits {
  /** Rows of one fetch. */
  fetchRows: number
  /** Rows read and not yet deleted. */
  handRows: number
  /** Bytes read and not yet deleted. */
  handBytes: number
  /** Rows over this size are never loaded. */
  maxRowBytes: number
}

/** What the reader needs from its surroundings. */
export interface ReaderDeps {
  clock: Clock
  telemetry: Telemetry
  hand: Hand
  claims: Claims
  topics: Topics
  limits: ReaderLimits
  /** Milliseconds between two polls of an idle table, at most. */
  maxPollMs: () => number
  /** Milliseconds between two questions for the mark, at least. */
  markMs: number
  /** Rows of one bucket that a fetch looks at while topics are left out, unless that takes it nowhere. */
  lookRows: number
  /** Takes a row that must wait behind a dead one. */
  moveBehind: (row: CarriedRow) => void
  /** Takes a row that can never be sent. */
  park: (row: CarriedRow, reason: string, error: string) => void
}

/** A bucket whose rows all go to one full lane is not read again before this, in milliseconds: the rows would be dropped once more. */
const fullLaneMs = 50

/** Every bucket is read from its beginning once in so many milliseconds: a fault of the mark becomes a delay, never a loss. */
export const sweepMs = 600_000

/**
 * A look that ended above the mark, where the position cannot follow it, goes further the next time, up to so many times as far: beyond that
 * a statement might not end in time.
 */
const lookGrowth = 4

/** What the last fetch of a bucket found. */
interface Last {
  /** The only lane its rows went to. */
  lane: Lane | undefined
  at: number
  /** Rows to look at the next time. */
  look: number
}

/** The part of a fetch that one bucket has. */
interface Part {
  what: Fetch
  scan: Scan
  /** The mark when the fetch was sent. */
  mark: number
  /** Whether the answer ended within the bucket. */
  isCut: boolean
}

/**
 * Reads the next rows of the relay's buckets, in id order, one statement at a time, and puts each into its lane. Below the settled mark a
 * position is a plain cursor; above it rows may still come to light, so the position stays and the rows in hand are left out of the next
 * fetch.
 */
export class Reader {
  /** Raise it when there may be something to do: a wake-up, room, a new claim, a resume. */
  readonly latch: Latch
  readonly #deps: ReaderDeps
  readonly #mark: Mark
  #generation = 0
  #start = 0
  #active = 0
  #rowBytes = 0
  #last = new WeakMap<Claim, Last>()
  /** Whether the last fetch that was taken found every bucket empty. */
  #empty = false

  constructor(deps: ReaderDeps) {
    this.#deps = deps
    this.#mark = new Mark(deps.clock, deps.markMs)
    this.latch = new Latch(deps.clock)
  }

  /** Whether the last fetch looked at all claimed buckets and found nothing new. */
  get sawNothing(): boolean {
    return this.#empty
  }

  /** The answer that is under way was asked for under other circumstances: it will be thrown away whole. */
  invalidate(): void {
    this.#generation++
    this.#empty = false
    this.latch.raise()
  }

  /** Goes back to what is owed. */
  resume(debt: Debt): void {
    for (const [bucket, id] of debt.take()) {
      const claim = this.#deps.claims.get(bucket)
      if (!claim) continue
      claim.position = Math.min(claim.position, id - 1)
      claim.sweptTo = Math.min(claim.sweptTo, id - 1)
    }
    this.invalidate()
  }

  /** Reads the bucket from its beginning again. */
  rewind(claim: Claim): void {
    claim.position = 0
    claim.sweptTo = 0
    this.invalidate()
  }

  /** Forgets what was known of a server or connection that is gone. */
  reset(): void {
    this.#mark.forget()
    this.#deps.hand.doubtIds()
    this.invalidate()
  }

  /** Sweeps a bucket: what it finds below the position should have been seen before. */
  sweep(claim: Claim): void {
    const position = claim.position
    this.rewind(claim)
    claim.sweptTo = position
  }

  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    let poll = 0
    while (!signal.aborted) {
      const what = this.#plan()
      if (!what) {
        await this.latch.wait(signal, fullLaneMs)
        continue
      }
      const generation = this.#generation
      // Good for fetches that are sent after it was settled.
      const mark = this.#mark.id
      const sentAt = this.#deps.clock.now()
      this.#oweExcluded(what)
      this.#deps.hand.fetchSent()
      const answer = await session.fetch(what)
      if (generation !== this.#generation || signal.aborted) continue
      const fresh = this.#take(what, answer, mark)
      this.#deps.telemetry.emit('fetched', { rows: answer.rows.length, ms: this.#deps.clock.now() - sentAt })
      void this.#mark.advance(session).catch(() => {
        // The session is ending, and tells so itself.
      })
      poll = nextPollMs(poll, fresh, what.limit, this.#deps.maxPollMs())
      if (poll > 0) await this.latch.wait(signal, poll)
    }
  }

  /** The next fetch, or nothing while there is no room or no bucket to read. */
  #plan(): Fetch | undefined {
    const { hand, limits, claims, topics, clock, lookRows } = this.#deps
    const roomRows = limits.handRows - hand.size
    const roomBytes = limits.handBytes - hand.bytes
    if (roomRows <= 0 || roomBytes <= 0) return undefined
    const byBytes = this.#rowBytes > 0 ? Math.ceil(roomBytes / this.#rowBytes) : limits.fetchRows
    const limit = Math.max(1, Math.min(limits.fetchRows, roomRows, byBytes))
    const readable = claims.all.filter((claim) => !claim.leaving)
    const inner = Math.max(8, Math.ceil(limit / Math.max(1, this.#active || readable.length)))
    const now = clock.now()
    const scans = []
    // The list begins elsewhere each time: the limit must not starve its end.
    for (let i = 0; i < readable.length; i++) {
      const claim = readable[(this.#start + i) % readable.length]!
      const last = this.#last.get(claim)
      const room = last?.lane?.room ?? Number.POSITIVE_INFINITY
      if (room < Math.min(64, inner) && last && now - last.at < fullLaneMs) continue
      const limit = Math.max(8, Math.min(inner, room))
      scans.push({ bucket: claim.bucket, after: claim.position, limit, look: last?.look ?? lookRows })
    }
    this.#start++
    if (scans.length === 0) return undefined
    return {
      scans,
      limit,
      withoutTopics: topics.closed().map((topic) => topic.name),
      withoutIds: hand.idsAbove((bucket) => claims.get(bucket)?.position ?? Number.POSITIVE_INFINITY),
      maxRowBytes: limits.maxRowBytes,
      maxBytes: roomBytes,
    }
  }

  /** Topics that the fetch leaves out owe everything from where it starts: above the mark the position cannot tell what was skipped. */
  #oweExcluded(what: Fetch): void {
    for (const name of what.withoutTopics) {
      const topic = this.#deps.topics.get(name)
      for (const scan of what.scans) topic.debt.owe(scan.bucket, scan.after + 1)
    }
  }

  /** Puts the rows where they belong and moves the positions on. Returns how many were not in hand already. */
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
      const claim = this.#deps.claims.get(scan.bucket)
      if (claim) known += this.#takeBucket(claim, rows, { what, scan, mark, isCut })
      if (rows.length > 0) active++
      // What the limit cut off was not looked at.
      if (isCut) break
    }
    this.#active = active
    if (answer.rows.length > 0) this.#rowBytes = Math.max(this.#rowBytes * 0.8, bytes / answer.rows.length)
    this.#empty = answer.rows.length === 0 && what.scans.length === this.#deps.claims.all.filter((claim) => !claim.leaving).length
    return answer.rows.length - known
  }

  /** Puts the rows of one bucket where they belong. Returns how many were in hand already. */
  #takeBucket(claim: Claim, rows: readonly OutboxRow[], { what, scan, mark, isCut }: Part): number {
    const lastId = rows.at(-1)?.id ?? claim.position
    this.#mark.saw(lastId)
    // Comes for its place alone: those before it were not asked for, and are owed.
    const ended = rows.length > 0 && what.withoutTopics.includes(rows.at(-1)!.topic)
    const lanes = new Set<Lane>()
    let stuck: OutboxRow | undefined
    let known = 0
    for (const row of ended ? rows.slice(0, -1) : rows) {
      const place = this.#place(row, claim)
      if (place === 'stuck') {
        stuck = row
        break
      }
      if (place === 'known') known++
      else if (place !== 'none') lanes.add(place)
    }
    const whole = !stuck && !ended && !isCut && rows.length < scan.limit
    const reached = whole ? mark : stuck ? stuck.id - 1 : lastId
    claim.position = Math.max(claim.position, Math.min(mark, reached))
    const { clock, lookRows } = this.#deps
    const stands = ended && claim.position < lastId
    const look = stands ? Math.min(scan.look * 2, lookRows * lookGrowth) : lookRows
    this.#last.set(claim, { lane: lanes.size === 1 ? [...lanes][0] : undefined, at: clock.now(), look })
    // Nothing is gained by looking there again at once: until the mark moves on, it would be all that the database does.
    return stands ? known + 1 : known
  }

  /** Puts a row where it belongs. Returns the lane it went to, or would have gone to. */
  #place(row: OutboxRow, claim: Claim): Lane | 'none' | 'known' | 'stuck' {
    const { hand, topics, telemetry, limits } = this.#deps
    const known = hand.knows(row)
    if (known === 'yes') return 'known'
    if (known === 'other') return 'stuck'
    const topic = topics.get(row.topic)
    const carried = Object.assign(row, { claim })
    if (!topic.open) {
      topic.owe(carried)
      return 'none'
    }
    if (row.id <= claim.sweptTo && !topic.debt.covers(row.bucket, row.id)) {
      const owed = topic.lanes.some((lane) => lane.debt.covers(row.bucket, row.id))
      if (!owed) telemetry.emit('row_found_below_position', { bucket: row.bucket, id: row.id, topic: row.topic })
    }
    if (claim.isHeld(row)) {
      hand.add(carried)
      this.#deps.moveBehind(carried)
      return 'none'
    }
    if (row.oversized) {
      hand.add(carried)
      this.#deps.park(
        carried,
        'MESSAGE_TOO_LARGE',
        `The message has ${row.bytes} bytes; the relay carries ${limits.maxRowBytes}.`,
      )
      return 'none'
    }
    const lane = topic.laneOf(carried)
    if (lane.room === 0) {
      lane.debt.owe(row.bucket, row.id)
      return lane
    }
    if (bucketOf(row.topic, row.key) !== row.bucket) {
      telemetry.emit('wrong_bucket', { bucket: row.bucket, id: row.id, topic: row.topic })
    }
    hand.add(carried)
    lane.push(carried)
    return lane
  }
}
