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

/** Something dies at this time. */
export interface Kill<Victim> {
  atMs: number
  victim: Victim
}

/** Kills from the second second on, 1 to 3 s apart, each of a random victim. The last three seconds are quiet. */
export function schedule<Victim>(seed: number, seconds: number, victims: readonly Victim[]): Kill<Victim>[] {
  const next = random(seed)
  const kills: Kill<Victim>[] = []
  const gap = () => 1_000 + next() * 2_000
  for (let atMs = 1_000 + gap(); atMs < (seconds - 3) * 1_000; atMs += gap()) {
    kills.push({ atMs, victim: victims[Math.floor(next() * victims.length)]! })
  }
  return kills
}
