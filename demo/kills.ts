import { setTimeout as wait } from 'node:timers/promises'

/** Time for which what was killed is away before it is started again, in ms: a supervisor's. */
const awayMs = 500

/** Something that can be killed and started again. */
interface Mortal {
  kill(): Promise<void>
  /** Resolves when it serves again. */
  start(): Promise<void>
}

/** Numbers from 0 to 1 that are the same for the same seed: mulberry32 by Tommy Ettinger, public domain. */
export function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/**
 * Kills one of the groups after the other, at random, until the signal; resolves when all run again. From the moment when all run to the
 * next kill it is 1.5 to 3.5 s: a slow machine sees fewer kills, and not only processes that start. Members of a group die together.
 *
 * @param onKill told with the number of the group
 */
export async function killAtRandom(
  groups: readonly Mortal[][],
  { seed, signal, onKill = () => {} }: { seed: number; signal: AbortSignal; onKill?: (group: number) => void },
): Promise<void> {
  const next = random(seed)
  const pause = () => wait(1_500 + next() * 2_000, true, { signal }).catch(() => false)
  while (await pause()) {
    const at = Math.floor(next() * groups.length)
    const group = groups[at]!
    onKill(at)
    await Promise.all(group.map((one) => one.kill()))
    await wait(awayMs)
    await Promise.all(group.map((one) => one.start()))
  }
}
