import { rm } from 'node:fs/promises'
import { randomFrom } from '../../src/proof/draw.ts'
import { type TortureOptions, tortureDefaults } from '../history/options.ts'
import { generateClients } from '../support/generate.ts'
import type { Mutant, Oracle } from './mutant.ts'

/**
 * A short torture of each mutant, with the faults that bring it to light: the checks must catch every broken relay. Of the parts of the
 * rules it tells which random faults show; those that they do not have only their tests. `sound`: a relay that lacks nothing must pass
 * under the faults and the seed by which a mutant was caught, otherwise nothing is proved.
 */
export async function tortureOracle(sound: boolean): Promise<Oracle> {
  await generateClients()
  const random = randomFrom(1 + (Date.now() % 1_000_000))
  return {
    canShow: ({ faults }) => faults !== undefined,
    mustShow: ({ rule }) => rule === undefined,
    async ask(name, mutant) {
      // What a fault meets is chance: a broken relay that one seed lets pass must not get past another.
      const tries = mutant.rule === undefined ? 2 : 1
      const survived: number[] = []
      while (survived.length < tries) {
        const seed = 1 + Math.floor(random() * 1_000_000)
        const by = await caughtBy(name, mutant, seed)
        if (by === undefined) survived.push(seed)
        else if (!sound) return { by, remark: remarkOf(survived) }
        else return proved(by, await caughtBy(undefined, mutant, seed), seed)
      }
      return { by: undefined, remark: remarkOf(survived) }
    },
    close: async () => {},
  }
}

const remarkOf = (survived: readonly number[]) => (survived.length > 0 ? `; not caught with seed ${survived.join(', ')}` : '')

function proved(by: string, soundBy: string | undefined, seed: number): { by: string | undefined; remark: string } {
  if (soundBy === undefined) return { by, remark: `; with seed ${seed} a sound relay passes` }
  return { by: undefined, remark: `; ${by} with seed ${seed}, but a sound relay is caught too, by ${soundBy}` }
}

/** The checks that a mutant, or a sound relay, violates under faults drawn from the seed, with the number of violations; undefined: none. */
async function caughtBy(mutant: string | undefined, { rule, faults }: Mutant, seed: number): Promise<string | undefined> {
  const exactlyOnce = rule === 26 || rule === 27

  // The generated clients must be there before what imports them.
  const { torture } = await import('../history/run.ts')
  // Few keys, so that transactions wait for one another and begin in another order than they commit.
  const load = { brokers: 1, relays: 3, writers: 16, keys: 4, lateMs: [500, 4_000] } as const
  const time = { forMs: 20_000, everyMs: 2_500, emptyMs: 15_000 }
  const options: TortureOptions = { ...tortureDefaults, ...load, ...time, seed, mutant, faults, exactlyOnce }
  const { judgement, folder } = await torture(options, () => {})
  if (folder) await rm(folder, { recursive: true })
  const caught = judgement.verdicts.filter(({ state }) => state === 'violated')
  return caught.length === 0 ? undefined : caught.map(({ check, violations }) => `${check} (${violations})`).join(', ')
}
