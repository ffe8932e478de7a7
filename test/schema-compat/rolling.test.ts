import { describe, expect, test } from 'vitest'
import { checkEvents } from '../../src/schema-compat/check.ts'
import { cli } from '../support/cli.ts'
import { readTopic } from '../support/topics.ts'
import { type Change, changes, consumer } from './changes.ts'
import { allowedDeployments, type Deployment } from './deployments.ts'
import { judge, Rollout, type Verdict } from './rollout.ts'

/** Orders for each mixture of old and new instances. OUTBOX_ROLLING_ORDERS=2000 is the whole proof. */
const orders = Number(process.env.OUTBOX_ROLLING_ORDERS ?? 40)
const timeout = 240_000 + 100 * orders

const both: Deployment[] = ['consumers first', 'producers first']
const allowed: [keyof typeof changes, Deployment[]][] = [
  ['optionalField', both],
  ['widerVersion', both],
  ['otherVersion', ['consumers first']],
  ['newEvent', ['consumers first']],
  ['changedInPlace', []],
]

test.each(allowed)('what schema check finds about %s leaves %j', (name, deployments) => {
  const { before, after } = changes[name]
  expect(allowedDeployments(checkEvents(before('orders').lock, after('orders').lock))).toEqual(deployments)
})

const announced = async ({ topic }: Rollout) =>
  new Set((await readTopic(topic)).map(({ value }) => (JSON.parse(String(value)) as { id: number }).id))

/** Deploys the change under load; gives what became of the orders. */
async function deploy(change: Change, first: Deployment, more?: (rollout: Rollout) => Promise<void>): Promise<Verdict> {
  await using rollout = await Rollout.open(change)
  await rollout.deploy(change, first, orders)
  await rollout.close()
  await more?.(rollout)
  const verdict = await judge(rollout, await announced(rollout))
  console.log(`${first}: ${JSON.stringify(verdict)}`)
  return verdict
}

const flawless = { lost: 0, skipped: 0, deadLettered: 0, repeated: 0, wrong: 0, overtaking: 0 }
/** Which code has read what which code wrote: without these the switch was not under load. */
const meetings = {
  'consumers first': ['after, after', 'before, after', 'before, before'],
  'producers first': ['after, after', 'after, before', 'before, before'],
}

describe('every order of deployment that schema check allows, while orders come in', () => {
  const runs = allowed.flatMap(([name, deployments]) => deployments.map((first) => [name, first] as const))

  test.each(runs)('%s, %s: no order is lost, skipped or dead-lettered', { timeout }, async (name, first) => {
    const verdict = await deploy(changes[name], first)
    expect(verdict).toMatchObject(flawless)
    expect(verdict.shipped).toBe(verdict.placed)
    expect(verdict.placed).toBeGreaterThan(5 * orders)
    expect(verdict.met).toEqual(expect.arrayContaining(meetings[first]))
  })
})

describe('an order of deployment that schema check does not allow', () => {
  test('otherVersion, producers first: the old consumers dead-letter what they cannot read, and a redrive fixes it', {
    timeout,
  }, async () => {
    let deadLettered = 0
    const verdict = await deploy(changes.otherVersion, 'producers first', async (rollout) => {
      deadLettered = (await judge(rollout, await announced(rollout))).deadLettered
      const env = { DATABASE_URL: rollout.database.url }
      const { code, stderr } = await cli(['inbox', 'redrive', '--consumer', consumer, '--timeout', '60'], env)
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    })
    expect(deadLettered).toBeGreaterThan(orders)
    expect(verdict).toMatchObject(flawless)
    expect(verdict.shipped).toBe(verdict.placed)
  })

  test('newEvent, producers first: the old consumers pass over what they do not know, for good', { timeout }, async () => {
    const { skipped, ...verdict } = await deploy(changes.newEvent, 'producers first')
    expect(skipped).toBeGreaterThan(orders / 2)
    expect(verdict).toMatchObject({ lost: 0, deadLettered: 0, repeated: 0, wrong: 0 })
  })

  test.each(both)('changedInPlace, %s: what one code writes the other dead-letters', { timeout }, async (first) => {
    const { deadLettered, ...verdict } = await deploy(changes.changedInPlace, first)
    expect(deadLettered).toBeGreaterThan(orders)
    expect(verdict).toMatchObject({ lost: 0, skipped: 0, repeated: 0, wrong: 0 })
  })
})
