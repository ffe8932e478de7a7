import { randomFrom } from '../../src/proof/draw.ts'
import type { InjectedFault } from '../../src/proof/history.ts'
import { monotonicMs } from '../../src/proof/history.ts'
import type { Fault, Ground, RelayFleet } from './fault.ts'
import { namedFaults } from './faults.ts'
import type { TortureGround } from './ground.ts'
import type { PlannedFault, Schedule } from './schedule.ts'

/**
 * Milliseconds that a fault may need to come into force, and to heal when no other begins any more. A broker starts slowly while others
 * are down. On a busy machine two of three may be down again and again until the last fault is over.
 */
const patienceMs = 300_000

/** Milliseconds until a fault that could not be injected is tried again. */
const againMs = 300

/** Injects the faults of a schedule, each at its time, whatever others are in force; resolves when all are healed. */
export async function injectFaults(
  schedule: Schedule,
  ground: TortureGround,
  onHealed: (injected: readonly InjectedFault[], planned: number) => void,
): Promise<InjectedFault[]> {
  const injected: InjectedFault[] = []
  const began = performance.now()
  const lastAt = began + Math.max(...schedule.faults.map(({ atMs }) => atMs))
  const one = async (planned: PlannedFault): Promise<void> => {
    await sleep(began + planned.atMs - performance.now())
    const fault = namedFaults.find(({ name }) => name === planned.fault)
    if (!fault) throw new Error(`The schedule names ${planned.fault}, which is no fault.`)
    const from = monotonicMs()
    const healedAt = await inject(fault, planned, groundOf(ground, planned.seed), lastAt)
    if (healedAt === undefined) return
    injected.push({ kind: fault.name, from, healedAt, ...(fault.flow ? { flow: fault.flow } : {}) })
    onHealed(injected, schedule.faults.length)
  }
  await Promise.all(schedule.faults.map(one))
  return injected
}

/** The ground with draws of the fault's own: what it draws does not depend on which others are under way. */
function groundOf(ground: TortureGround, seed: number): Ground {
  const random = randomFrom(seed)
  const fleet = ground.relays
  const relays: RelayFleet = {
    all: () => fleet.all(),
    any: () => fleet.any(random),
    scale: (count) => fleet.scale(count),
    startWith: (env) => fleet.startWith(env),
  }
  return { ...ground, random, relays }
}

/** Gives when the fault was healed; undefined when others did not let it come into force. `lastAt`: when the last of all begins. */
async function inject(fault: Fault, { lastsMs }: PlannedFault, ground: Ground, lastAt: number): Promise<number | undefined> {
  const { name } = fault
  ground.note(`${name} begins`)
  const began = await patiently(() => fault.begin(ground), `${name} did not come into force`).catch((error: Error) => error)
  if (began instanceof Error) return void ground.note(began.message)
  ground.note(`${name} is in force for ${lastsMs} ms`)
  await sleep(lastsMs)
  const heal = async () => {
    try {
      await began()
    } catch (error) {
      ground.note(`${name} heals: ${error}`)
      throw error
    }
  }
  await patiently(heal, `${name} did not heal`, Math.max(0, lastAt - performance.now()) + patienceMs)
  ground.note(`${name} is healed`)
  return monotonicMs()
}

/** Tries again what other faults have in the way: a server that is down answers no fault either. */
async function patiently<T>(work: () => Promise<T>, words: string, ms = patienceMs): Promise<T> {
  const late = AbortSignal.timeout(Math.round(ms))
  const over = new Promise<never>((_, reject) => late.addEventListener('abort', () => reject(new Error(`${words}: no answer.`))))
  over.catch(() => {})
  for (;;) {
    try {
      return await Promise.race([work(), over])
    } catch (error) {
      if (late.aborted) throw new Error(words, { cause: error })
      await sleep(againMs)
    }
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)))
