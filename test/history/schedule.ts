import { randomFrom } from '../../src/proof/draw.ts'
import type { Fault } from './fault.ts'

/** A fault at its time. */
export interface PlannedFault {
  /** Milliseconds from the beginning of the faults. */
  atMs: number
  fault: string
  lastsMs: number
  /** Seed of whatever the fault draws. */
  seed: number
}

/** When which fault is injected. */
export interface Schedule {
  seed: number
  faults: PlannedFault[]
}

/**
 * Draws a schedule: one fault about every `everyMs`, each kind as often as the others: all kinds come, in an order of their own, before
 * one of them comes again.
 */
export function drawSchedule(seed: number, kinds: readonly Fault[], forMs: number, everyMs: number): Schedule {
  const random = randomFrom(seed)
  const faults: PlannedFault[] = []
  let round: Fault[] = []
  for (let atMs = everyMs * random(); atMs < forMs; atMs += everyMs * (0.5 + random())) {
    if (round.length === 0) round = shuffled(kinds, random)
    const { name, lastsMs } = round.pop()!
    const [least, longest] = lastsMs
    const seedOfFault = 1 + Math.floor(random() * 2_000_000_000)
    faults.push({
      atMs: Math.round(atMs),
      fault: name,
      lastsMs: Math.round(least + random() * (longest - least)),
      seed: seedOfFault,
    })
  }
  return { seed, faults }
}

function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const left = [...list]
  return list.map(() => left.splice(Math.floor(random() * left.length), 1)[0]!)
}
