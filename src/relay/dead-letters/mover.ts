import { keyDigest } from '../../message/key-digest.ts'
import { isLocked, isTooSlow, type Moved, type Refusal, type StoreSession } from '../../store/store.ts'
import type { RelayContext } from '../context.ts'
import { loseClaim } from '../leases/end-claims.ts'
import type { Topics } from '../publish/topics.ts'
import type { CarriedRow, Claim } from '../state/claim.ts'
import { lockedAgainMs } from '../state/locked-rows.ts'
import type { Move } from '../state/moves.ts'
import { freeKeys } from './free-keys.ts'

/** Rows moved behind a dead one in one statement, and by what factor fewer, if that is too much. */
const moveRows = 500
const fewer = 8

/** Milliseconds until a move that took too long is tried again: each try keeps the settler waiting. */
const stuckMs = 60_000

/**
 * Moves refused rows, and those behind them, from outbox to outbox_dead_letter, under the relay's own leases (rule 13). What is in memory
 * follows what each statement finds.
 */
export class Mover {
  readonly #context: RelayContext
  readonly #topics: Topics
  /** Size of a statement: smaller after one that took too long, and larger again from success to success. */
  #moveRows = moveRows

  constructor(context: RelayContext, topics: Topics) {
    this.#context = context
    this.#topics = topics
  }

  /** Moves one refused row, or the rows of one bucket that wait behind dead ones. */
  async move(session: StoreSession, first: Move): Promise<void> {
    try {
      await (first.why ? this.#deadLetter(session, first, first.why) : this.#moveTogether(session, first.row.claim))
    } catch (error) {
      if (isLocked(error)) this.#metLock(first)
      else if (!isTooSlow(error)) throw error
      else if (first.why) this.#tooSlow(first, error)
      // One that is too large alone stays in the outbox; its key is blocked here, and its next owner tries again.
      else if (this.#moveRows === 1) this.#context.state.moves.over([first])
      this.#moveRows = Math.ceil(this.#moveRows / fewer)
    }
  }

  /** Of several rows one is locked, or the lease is: fewer at a time find out which. */
  #metLock(first: Move): void {
    if (first.why) this.#stuck(first, lockedAgainMs)
    else if (this.#moveRows === 1) first.notBefore = this.#context.clock.now() + lockedAgainMs
    else return
    this.#context.state.locked.met(first.row)
  }

  async #deadLetter(session: StoreSession, move: Move, why: Refusal): Promise<void> {
    const { claim } = move.row
    const found = await session.deadLetter(claim, move.row, why)
    const moved = found.ids.includes(move.row.id)
    // Told also if the claim has ended meanwhile: nobody else tells of this row.
    if (moved) this.#tell(move.row, why)
    if (!this.#finish([move], claim, found)) return
    // Neither in the outbox nor in outbox_dead_letter: somebody deleted it by hand, and nothing is blocked by it.
    if (!moved && why.blocksKey) this.#free(move.row)
    if (!claim.moveStuck) return
    claim.moveStuck = this.#context.state.moves.all.some((other) => other.row.claim === claim && other.notBefore > 0)
    this.#context.state.positions.rewind(claim)
  }

  /** A message of hundreds of megabytes, say: nothing else may have to wait for it. */
  #tooSlow(move: Move, error: unknown): void {
    const { topic, messageId, bytes } = move.row
    this.#context.telemetry.emit('dead_letter_failed', {
      topic,
      messageId,
      bytes,
      code: String((error as { code: unknown }).code),
    })
    this.#stuck(move, stuckMs)
  }

  #stuck(move: Move, forMs: number): void {
    const { claim } = move.row
    move.notBefore = this.#context.clock.now() + forMs
    claim.moveStuck = true
    this.#context.state.moves.drop((other) => !other.why && other.row.claim === claim)
  }

  async #moveTogether(session: StoreSession, claim: Claim): Promise<void> {
    const { clock, state } = this.#context
    const together = state.moves.blockedOf(claim, this.#moveRows, clock.now())
    const rows = together.map((move) => move.row)
    const named = rows.map(({ bucket, id, messageId, ...row }) => ({
      bucket,
      id,
      messageId,
      head: claim.headOf({ id, ...row }) ?? 0,
    }))
    const found = await session.moveBlocked(claim, named)
    this.#moveRows = Math.min(moveRows, this.#moveRows * 2)
    const moved = new Set(found.ids)
    this.#tellMoved(rows, moved)
    if (this.#finish(together, claim, found)) await this.#freeLeft(session, claim, rows, moved)
  }

  /** Takes moves off the list. False when they were of no effect because the lease is another's, or were forgotten meanwhile. */
  #finish(done: Move[], claim: Claim, found: Moved): boolean {
    this.#context.state.moves.over(done)
    if (found.fenced) loseClaim(this.#context, this.#topics, claim)
    return !found.fenced && claim.alive
  }

  #tell({ topic, messageId, key }: CarriedRow, { reason, error, blocksKey }: Refusal): void {
    const onDeadLetter = blocksKey || key === null ? 'block' : 'skip'
    this.#context.telemetry.emit('dead_lettered', { topic, messageId, reason, error, onDeadLetter })
  }

  #free({ topic, key, claim }: CarriedRow): void {
    freeKeys(this.#context, this.#topics, claim, [{ topic, key: key!, next: null }])
  }

  #tellMoved(rows: readonly CarriedRow[], moved: ReadonlySet<number>): void {
    const counts = new Map<string, number>()
    for (const { id, topic } of rows) if (moved.has(id)) counts.set(topic, (counts.get(topic) ?? 0) + 1)
    for (const [topic, count] of counts) this.#context.telemetry.emit('blocked', { topic, rows: count })
  }

  async #freeLeft(session: StoreSession, claim: Claim, rows: CarriedRow[], moved: ReadonlySet<number>): Promise<void> {
    const left = rows.filter((row) => !moved.has(row.id) && claim.isBlocked(row))
    if (left.length === 0) return
    // Their head is gone: somebody deleted it by hand. Those behind it, if any, have another.
    const keys = new Map(left.map((row) => [keyDigest(row.topic, row.key!), row]))
    const heads = await session.blockedKeysOf(claim.bucket, [...keys.keys()])
    const next = new Map(heads.map((head) => [head.digest, head]))
    freeKeys(
      this.#context,
      this.#topics,
      claim,
      [...keys].map(([name, row]) => {
        const blockedKey = next.get(name)
        return {
          topic: row.topic,
          key: row.key!,
          next: blockedKey?.id ?? null,
          ...(blockedKey?.goesOn && { goesOn: blockedKey.goesOn }),
        }
      }),
    )
  }
}
