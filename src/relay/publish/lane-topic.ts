import type { CarriedRow } from '../state/claim.ts'
import type { Lane } from './lane.ts'
import type { Refusals } from './refusals.ts'

/** What a lane tells its topic, and asks of it. `Topic` is it. */
export interface LaneTopic {
  readonly name: string
  readonly open: boolean
  /**
   * Resolves when the lane may send: at once, or, while the topic finds out whether it takes messages again, when it has or when the turn
   * is this lane's. While the topic takes no messages, a lane that keeps a batch waits. `probe`: that batch, or one record.
   */
  turn(lane: Lane): Promise<'probe' | 'free'>
  /** The lane has no answer to give about the topic: it is another one's turn. */
  pass(lane: Lane): void
  readonly refusals: Refusals
  accepted(): void
  pause(code: string, error: string): void
  recheck(): void
  skip(row: CarriedRow): void
}
