import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { ConfigResourceTypes } from 'kafkajs'
import { describe, expect, inject, onTestFinished, test, vi } from 'vitest'
import { Closing } from '../../demo/closing.ts'
import { areRight, judgeEffects } from '../../demo/effects.ts'
import { prepareGround } from '../../demo/ground.ts'
import { isKept, judge } from '../../demo/judge.ts'
import { random } from '../../demo/kills.ts'
import { readOptions } from '../../demo/options.ts'

const orders = [1, 2, 3, 4].map((id) => ({ id, customer: id % 2 === 1 ? 'ada' : 'bob' }))
const announce = (...ids: number[]) => ids.map((orderId) => ({ orderId, key: orderId % 2 === 1 ? 'ada' : 'bob' }))

describe('the judge', () => {
  test('finds nothing wrong when every placed order is announced once', () => {
    const verdict = judge(orders, announce(2, 1, 4, 3))
    expect(verdict).toEqual({ placed: 4, records: 4, missing: [], phantom: [], doubled: [], copies: 0, outOfOrder: 0 })
    expect(isKept(verdict, false)).toBe(true)
  })

  test('finds the order that nobody announced', () => {
    const verdict = judge(orders, announce(1, 2, 4))
    expect(verdict.missing).toEqual([3])
    expect([isKept(verdict, false), isKept(verdict, true)]).toEqual([false, false])
  })

  test('finds the announcement of an order that was never placed', () => {
    const verdict = judge(orders, announce(1, 2, 3, 4, 5))
    expect(verdict.phantom).toEqual([5])
    expect([isKept(verdict, false), isKept(verdict, true)]).toEqual([false, false])
  })

  test('finds copies, and forgives them only where something was killed', () => {
    const verdict = judge(orders, announce(1, 2, 3, 4, 2, 2))
    expect(verdict).toMatchObject({ doubled: [2], copies: 2, outOfOrder: 0 })
    expect([isKept(verdict, false), isKept(verdict, true)]).toEqual([false, true])
  })

  test('finds a newer order that was announced before an older one of its key', () => {
    const verdict = judge(orders, announce(3, 1, 2, 4))
    expect(verdict.outOfOrder).toBe(1)
    expect([isKept(verdict, false), isKept(verdict, true)]).toEqual([false, false])
  })
})

describe('the judge of the consumers', () => {
  const ordered = [1, 2, 3].map((id) => ({ id, total: 100 * id }))
  const right = { letters: [2, 1, 3], parcels: [1, 2, 3], myOrders: [3, 2, 1], revenue: 600 }

  test('finds nothing wrong where each order was confirmed, shipped and listed once, and its price added up', () => {
    const verdict = judgeEffects(ordered, right)
    expect(verdict.effects.map(({ count, missing, surplus }) => [count, missing, surplus])).toEqual([
      [3, [], []],
      [3, [], []],
      [3, [], []],
    ])
    expect(areRight(verdict)).toBe(true)
  })

  test.each([
    ['an order without a confirmation', { letters: [1, 3] }, 0, { missing: [2], surplus: [] }],
    ['an order that was confirmed twice', { letters: [1, 2, 2, 3] }, 0, { missing: [], surplus: [2] }],
    ['an order that was shipped twice', { parcels: [3, 1, 2, 3] }, 1, { missing: [], surplus: [3] }],
    ['a parcel of an order that nobody placed', { parcels: [1, 2, 3, 4] }, 1, { missing: [], surplus: [4] }],
    ['an order that "my orders" does not show as shipped', { myOrders: [1, 2] }, 2, { missing: [3], surplus: [] }],
  ])('finds %s', (_, wrong, which, found) => {
    const verdict = judgeEffects(ordered, { ...right, ...wrong })
    expect(verdict.effects[which]).toMatchObject(found)
    expect(areRight(verdict)).toBe(false)
  })

  test('finds analytics that have not heard of an order, or have added one up twice', () => {
    for (const revenue of [500, 700]) expect(areRight(judgeEffects(ordered, { ...right, revenue }))).toBe(false)
  })
})

describe('the options', () => {
  test('have defaults, and other ones for the comparison', () => {
    expect(readOptions([])).toEqual({ seconds: undefined, rate: 50, naive: false, chaos: false, seed: 1 })
    expect(readOptions(['--naive'])).toEqual({ seconds: 30, rate: 50, naive: true, chaos: false, seed: 1 })
  })

  test.each([[['--seconds', '0']], [['--rate', 'many']]])('%j is refused by name', (args) => {
    expect(() => readOptions(args)).toThrow(`The option ${args[0]} is wrong`)
  })

  test('an unknown one is refused', () => {
    expect(() => readOptions(['--second', '3'])).toThrow("'--second'")
  })
})

test('the moments of the kills are the same for the same seed, and others for another', () => {
  const draw = (seed: number) => Array.from({ length: 5 }, random(seed))
  expect(draw(7)).toEqual(draw(7))
  expect(draw(7)).not.toEqual(draw(8))
})

test('a topic of the demo keeps everything: views that are rebuilt begin with its first record', async () => {
  vi.stubEnv('DATABASE_URL', inject('databaseUrl'))
  vi.stubEnv('KAFKA_BROKERS', inject('brokers'))
  onTestFinished(() => void vi.unstubAllEnvs())
  await using closing = new Closing()
  const ground = await prepareGround(closing)
  const topic = `orders-${randomUUID()}`
  await ground.createTopic(topic)
  const admin = ground.kafka.admin()
  await admin.connect()
  closing.add(() => admin.disconnect())
  const asked = {
    type: ConfigResourceTypes.TOPIC,
    name: topic,
    configNames: ['retention.ms', 'retention.bytes', 'cleanup.policy'],
  }
  const { resources } = await admin.describeConfigs({ resources: [asked], includeSynonyms: false })
  const settings = resources[0]!.configEntries.map(({ configName, configValue }) => [configName, configValue])
  expect(Object.fromEntries(settings)).toEqual({ 'retention.ms': '-1', 'retention.bytes': '-1', 'cleanup.policy': 'delete' })
})

/** Runs the demo on the servers of the test run. */
function demo(...args: string[]): Promise<{ code: number; output: string }> {
  const file = fileURLToPath(new URL('../../demo/main.ts', import.meta.url))
  const env = { ...process.env, DATABASE_URL: inject('databaseUrl'), KAFKA_BROKERS: inject('brokers') }
  return new Promise((resolve) => {
    execFile(process.execPath, ['--import', 'tsx', file, ...args], { env }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, output: stdout + stderr })
    })
  })
}

const figure = (output: string, name: string) => Number(new RegExp(`${name} +([\\d,]+)`).exec(output)?.[1]?.replace(',', ''))

const consumersAreRight = 'Every placed order was confirmed, shipped and listed once, and the analytics know what it cost.'

test('the demo places orders, refuses some, and finds each placed one in the topic and at each consumer exactly once', async () => {
  const { code, output } = await demo('--seconds', '8')
  expect(output).toContain('Every placed order is in the topic exactly once, and no other.')
  expect(figure(output, 'orders in the table')).toBeGreaterThan(20)
  expect(figure(output, 'orders refused')).toBeGreaterThan(0)
  for (const what of ['records in the topic', 'confirmations', 'parcels', 'shipped in "my orders"']) {
    expect(figure(output, what)).toBe(figure(output, 'orders in the table'))
  }
  expect(output).toContain(consumersAreRight)
  expect(code).toBe(0)
})

test('the demo with kills of the relay loses nothing', async () => {
  const { code, output } = await demo('--seconds', '8', '--chaos')
  expect(output).toMatch(/Every placed order is in the topic (exactly|at least) once, and no other\./)
  expect(output).toContain(consumersAreRight)
  expect(code).toBe(0)
})

test('the comparison ends with a table of all four ways, in which this package kept its promise', {
  timeout: 120_000,
}, async () => {
  const { code, output } = await demo('--naive', '--seconds', '8')
  expect(output).toContain('This package lost nothing, made up nothing, and kept every order.')
  expect(output).toMatch(/orders placed( +[1-9][\d,]*){4}/)
  expect(code).toBe(0)
})

test('a wrong option ends the demo with one sentence and exit code 2', async () => {
  expect(await demo('--rate', '0')).toEqual({ code: 2, output: expect.stringMatching(/^The option --rate is wrong: .*\n$/) })
})
