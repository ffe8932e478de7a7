import { keyDigest } from '../../message/key-digest.ts'
import type { CarriedRow } from '../state/claim.ts'

/**
 * When the lanes of a topic may send, as its circuit breaker has it. Closed to messages: a lane that keeps a batch in doubt waits. Half-open:
 * after trouble one lane at a time sends one record, or the batch that it keeps, and the others wait until it is known what the topic makes
 * of it.
 */
export class Probe {
  #paused = false
  #going = false
  #turn: object | undefined
  #waiting: (() => void)[] = []

  /** Once `signal` is aborted nobody waits any more. */
  constructor(signal: AbortSignal) {
    signal.addEventListener('abort', () => this.end(), { once: true })
  }

  /** The topic takes nothing. */
  pause(): void {
    this.#paused = true
    this.#going = false
    this.#wake()
  }

  /** From now on one lane finds out for all. */
  begin(): void {
    this.#paused = false
    this.#going = true
    this.#turn = undefined
    this.#wake()
  }

  /** It is known: everybody may go on. */
  end(): void {
    this.#paused = false
    this.#going = false
    this.#wake()
  }

  /** Waits until `who` may send, or has nothing to send any more: `probe` one record, or `free` whatever it has. */
  async turn(who: { readonly load: number }): Promise<'probe' | 'free'> {
    while (who.load > 0 && (this.#paused || (this.#going && this.#turn !== undefined && this.#turn !== who))) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    if (!this.#going || who.load === 0) return 'free'
    this.#turn = who
    return 'probe'
  }

  /** `who` cannot find it out: the next one's turn. */
  pass(who: object): void {
    if (this.#turn !== who) return
    this.#turn = undefined
    this.#wake()
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

/**
 * The probe record of a lane: the first record of a key that was not refused, chosen at random among such keys. A few bad records at the
 * head of a queue therefore do not speak for the whole topic. Without such a key it is the first of all. `random` returns 0 to 1, without 1.
 */
export function probeOf(
  queue: readonly CarriedRow[],
  wasRefused: (row: CarriedRow) => boolean,
  random: () => number,
): CarriedRow | undefined {
  const heads = new Map<string | null, CarriedRow>()
  for (const row of queue) {
    const key = row.key === null ? null : keyDigest(row.topic, row.key)
    if (!heads.has(key)) heads.set(key, row)
  }
  const hopeful = [...heads.values()].filter((row) => !wasRefused(row))
  return hopeful[Math.floor(random() * hopeful.length)] ?? queue[0]
}
