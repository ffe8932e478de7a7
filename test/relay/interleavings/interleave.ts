import fc from 'fast-check'
// Loaded at the first trouble, which takes real time: no moment of a world.
import 'p-retry'
import { story } from './commands.ts'
import { Scene } from './scene.ts'

/** How long to look. */
export interface Budget {
  seed: number
  /** Stories, at most. */
  runs: number
  /** Milliseconds after which no new one begins. */
  forMs?: number
  /** Number of a story of the seed, to begin with it. */
  path?: string
  /** Relays are in the exactly-once mode. @default false */
  exactlyOnce?: boolean
}

/** What was found. */
export interface Interleaved {
  runs: number
  /** The broken promise, and the shortest story that breaks it. */
  failure: string | undefined
}

/** Things that happen in one story, at most. */
const length = 60

/** Draws stories and interleavings, and judges each. A failure is shrunk for as long as the first search lasted. */
export async function interleave({ seed, runs, forMs, path, exactlyOnce = false }: Budget): Promise<Interleaved> {
  const property = fc.asyncProperty(
    fc.scheduler(),
    fc.record({ faults: fc.boolean(), notifications: fc.boolean() }),
    story(length),
    async (scheduler, kind, happens) => {
      const scene = new Scene(scheduler, { ...kind, exactlyOnce })
      await fc.asyncModelRun(() => ({ model: scene, real: scene }), happens)
      await scene.heal()
    },
  )
  const time = forMs === undefined ? {} : { interruptAfterTimeLimit: forMs, markInterruptAsFailure: false }
  const result = await fc.check(property, {
    seed,
    numRuns: runs,
    ...time,
    ...(path === undefined ? {} : { path }),
  })
  if (!result.failed) return { runs: result.numRuns, failure: undefined }
  const [, kind, happens] = result.counterexample ?? []
  const error = result.errorInstance instanceof Error ? result.errorInstance.message : String(result.errorInstance)
  // The number of the story alone: from there it is shrunk in the same way.
  const replay = `--seed ${result.seed} --story ${result.counterexamplePath?.split(':')[0]}`
  return {
    runs: result.numRuns,
    failure: `${error}\n${JSON.stringify(kind)} ${String(happens)}\nreplay: npm run interleavings -- ${replay}${exactlyOnce ? ' --exactly-once' : ''}`,
  }
}
