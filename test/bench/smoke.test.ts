import { expect, inject, test, vi } from 'vitest'

import { contenderOf } from '../../bench/contenders.ts'
import { type BenchOptions, benchOptions } from '../../bench/options.ts'
import { tablesOf } from '../../bench/result.ts'
import { modeOf, modes, run } from '../../bench/run.ts'

// Programs of their own start in each run: a loaded machine takes its time.
vi.setConfig({ testTimeout: 180_000 })
const names = Object.keys(modes)
const servers = { databaseUrl: inject('databaseUrl'), brokers: inject('brokers') }

// One of each kind: a backlog read back, an application beside the relay, several relays, Prisma in this process, relays that live on and are watched,
// and one with flags against itself. The other modes are made of the same parts, and each takes the time of several programs' start.
// CPU time is counted in hundredths of a second: where it is divided, all have to take some.
const kinds = ['drain', 'latency', 'scale', 'enqueue', 'watching --messages 5000', 'backlog --with batch-records=50']

test.for(kinds)('%s measures every contender, and its result is a table and JSON', async (kind) => {
  const args = ['--runs', '1', '--messages', '200', '--seconds', '1', '--transport', 'platformatic', ...kind.split(' ')]
  const options: BenchOptions = benchOptions(args, names)
  const told: string[] = []
  const result = await run({ servers, options }, (line) => told.push(line))
  const { contenders, ratios } = modeOf(options)
  expect(told).toHaveLength(result.cases.length * contenders.length)
  for (const { contenders: measured, ratios: divided } of result.cases) {
    expect(Object.keys(measured)).toEqual([...contenders])
    for (const figures of Object.values(measured)) expect(Object.keys(figures)).not.toEqual([])
    expect(Object.keys(divided)).toEqual(ratios.pairs.map((pair) => pair.join('/')))
  }
  const spreads = result.cases.flatMap((of) => [
    ...Object.values(of.contenders).flatMap((figures) => Object.values(figures)),
    ...Object.values(of.ratios),
    ...Object.values(of.beside ?? {}),
  ])
  for (const { median, least, most } of spreads) {
    // NaN and Infinity are no JSON: a division by a figure that was not measured.
    expect(Number.isFinite(median)).toBe(true)
    expect(median).toBeGreaterThanOrEqual(least)
    expect(median).toBeLessThanOrEqual(most)
  }
  expect(JSON.parse(JSON.stringify(result))).toEqual(result)
  expect(tablesOf(result, ratios)).toContain(`| ${contenders[0]} | `)
})

test('with flags of its own the relay is compared with itself, in every mode that measures it alone', () => {
  const asked = (mode: string) => modeOf(benchOptions([mode, '--with', 'lease-ms=3000', '--with', 'batch-records=100'], names))
  const other = 'relay --lease-ms=3000 --batch-records=100'
  for (const mode of ['drain', 'hot', 'latency', 'xmin', 'idle', 'backlog', 'commit']) {
    const { contenders, ratios } = asked(mode)
    expect(contenders).toEqual(['relay', other])
    expect(ratios).toEqual({ ...modes[mode]!.ratios, pairs: [[other, 'relay']] })
  }
  for (const mode of ['scale', 'partitions', 'enqueue', 'watching']) expect(() => asked(mode)).toThrow(`The mode ${mode} `)
})

test('a relay of others is measured beside the contenders, in every mode that has a loop beside the relay', async () => {
  const asked = (...args: string[]) => benchOptions([...args, '--rival', 'eventferry'], names)
  for (const mode of ['drain', 'hot', 'latency', 'xmin', 'idle', 'backlog', 'commit']) {
    const { contenders, ratios } = modeOf(asked(mode))
    expect(contenders).toEqual([...modes[mode]!.contenders, 'eventferry'])
    expect(ratios.pairs).toEqual([...modes[mode]!.ratios.pairs, ['relay', 'eventferry']])
  }
  for (const mode of ['scale', 'partitions', 'watching']) expect(() => modeOf(asked(mode))).toThrow(`The mode ${mode} `)
  expect(() => modeOf(asked('drain', '--with', 'lease-ms=3000'))).toThrow('--with')
  vi.stubEnv('RIVALS', '')
  expect(() => contenderOf('eventferry')).toThrow('RIVALS names no folder')
  vi.unstubAllEnvs()
})

test('the flags reach the relay: one that it does not know ends the measurement', async () => {
  const options = benchOptions(['backlog', '--runs', '1', '--messages', '1', '--with', 'no-such-flag=1'], names)
  await expect(run({ servers, options }, () => {})).rejects.toThrow('ended before it wrote "leases_taken"')
})

test('the rate that is given is the only one that latency is measured at', () => {
  const rates = (...args: string[]) => modes.latency!.cases(benchOptions(['latency', ...args], names)).map(({ name }) => name)
  expect(rates('--rate', '10')).toEqual(['10 transactions/s'])
  expect(rates()).toEqual(['200 transactions/s', '1000 transactions/s'])
})

test('what it does not know is answered with the usage', () => {
  for (const args of [
    [],
    ['fast'],
    ['drain', 'hot'],
    ['drain', '--runs', '0'],
    ['drain', '--transport', 'mail'],
    ['drain', '--rival', 'nobody'],
  ]) {
    expect(() => benchOptions(args, names)).toThrow('Usage: npm run bench -- drain')
  }
})
