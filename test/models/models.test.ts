import { describe, expect, test } from 'vitest'
import { limits, mutants, sound, told, visit, walks, wander } from './cases.ts'
import type { Explored } from './explore.ts'

/** Steps of the walks of one setting: about two seconds. */
const steps = 60_000

function tell(name: string, explored: Explored): void {
  console.log(told(name, explored))
}

describe('the exactly-once mode keeps every promise in every state', () => {
  test.each(Object.entries(sound))('of %s', (name, setting) => {
    const explored = visit(setting)
    tell(name, explored)
    expect(explored).toMatchObject({ isWhole: true })
    expect(explored.violation).toBeUndefined()
  })

  test.each(Object.entries(walks))('of walks at random: %s', (name, setting) => {
    const seed = 1 + (Date.now() % 1_000_000)
    const explored = wander(setting, steps, seed)
    tell(`${name} (seed ${seed})`, explored)
    expect(explored.violation).toBeUndefined()
  })
})

describe('a relay without a part of a rule breaks a promise where a sound one keeps it', () => {
  test.each(Object.entries(mutants))('%s', (name, { rule, setting, breaks }) => {
    const explored = visit({ ...setting, mutant: name }, breaks)
    tell(`rule ${rule}, ${name}`, explored)
    expect(explored.violation?.what).toMatch(breaks)
    expect(visit(setting, breaks)).toMatchObject({ isWhole: true })
  })
})

// They are documented. A model that does not show them is not the protocol's.
test.each(Object.entries(limits))('limit: %s', (name, { setting, breaks }) => {
  const explored = visit(setting, breaks)
  tell(name, explored)
  expect(explored.violation?.what).toMatch(breaks)
})
