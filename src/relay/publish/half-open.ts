import { keyDigest } from '../../message/key-digest.ts'
import type { CarriedRow } from '../state/claim.ts'

/**
 * Half-open state of a topic's circuit breaker: after trouble one lane at a time sends one record, and the others wait until it is known
 * what the topic makes of it.
 */
export class Probe {
  #going = false
  #turn: object | undefined
  #waiting: (() => void)[] = []

  /** Once `signal` is aborted nobody waits any more. */
  constructor(signal: AbortSignal) {
    signal.addEventListener('abort', () => this.end(), { once: true })
  }

  /** From now on one lane finds out for all. */
  begin(): void {
    this.#going = true
    this.#turn = undefined
  }

  /** It is known: everybody may go on. */
  end(): void {
    this.#going = false
    this.#wake()
  }

  /** Waits until `who` may send: `probe` one record, or `free` whatever it has. */
  async turn(who: object): Promise<'probe' | 'free'> {
    while (this.#going && this.#turn !== undefined && this.#turn !== who) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    if (!this.#going) return 'free'
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
 * The record that finds it out for a lane: the first of a key that was not refused, by chance among those, so that a few bad records at the
 * head of a queue do not speak for the whole topic again and again; else the first of all. `random` gives 0 to 1, without 1.
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
