import type { AlertFault } from './faults.ts'
import type { Ground } from './ground.ts'
import type { Pager } from './pager.ts'

/** Milliseconds that an alert may take to fire, and to end after the heal: the longest window of the shortened rules is two minutes. */
const patienceMs = 240_000

/** Injects one fault, waits for its alerts and for their end; gives what did not happen, or should not have. */
export async function tryFault(
  { name, fires, also, inject }: AlertFault,
  ground: Ground,
  pager: Pager,
  log: (line: string) => void,
): Promise<string[]> {
  log(`\n${name}`)
  const start = performance.now()
  const seen = new Map<string, number>()
  const look = (firing: string[]) => {
    for (const alert of firing) {
      if (seen.has(alert)) continue
      seen.set(alert, Math.round((performance.now() - start) / 1_000))
      log(`  ${alert} fires after ${seen.get(alert)} s`)
    }
    return fires.every((alert) => seen.has(alert))
  }
  const heal = await inject(ground)
  await pager.until(look, AbortSignal.timeout(patienceMs))
  const healed = performance.now()
  await heal()
  await pager.until((firing) => {
    look(firing)
    return firing.length === 0
  }, AbortSignal.timeout(patienceMs))
  log(`  healed; silent again after ${Math.round((performance.now() - healed) / 1_000)} s`)
  return [
    ...fires.filter((alert) => !seen.has(alert)).map((alert) => `${alert} did not fire: ${name}`),
    ...[...seen.keys()].filter((alert) => ![...fires, ...also].includes(alert)).map((alert) => `${alert} fired: ${name}`),
    ...pager.firing().map((alert) => `${alert} still fires after the heal: ${name}`),
  ]
}
