import { expect, inject, test, vi } from 'vitest'

import { type BenchOptions, benchOptions } from '../../bench/options.ts'
import { tablesOf } from '../../bench/result.ts'
import { modes, run } from '../../bench/run.ts'

// Programs of their own start in each run: a loaded machine takes its time.
vi.setConfig({ testTimeout: 180_000 })
const names = Object.keys(modes)
const servers = { databaseUrl: inject('databaseUrl'), brokers: inject('brokers') }

test.for(names)('the mode %s measures every contender, and its result is a table and JSON', async (mode) => {
  const args = [mode, '--runs', '1', '--messages', '200', '--seconds', '2', '--transport', 'platformatic']
  const options: BenchOptions = benchOptions(args, names)
  const told: string[] = []
  const result = await run({ servers, options }, (line) => told.push(line))
  const { contenders, ratios } = modes[mode]!
  expect(told).toHaveLength(result.cases.length * contenders.length)
  for (const { contenders: measured, ratios: divided } of result.cases) {
    expect(Object.keys(measured)).toEqual([...contenders])
    for (const figures of Object.values(measured)) expect(Object.keys(figures)).not.toEqual([])
    expect(Object.keys(divided)).toEqual(ratios.pairs.map((pair) => pair.join('/')))
  }
  const spreads = result.cases.flatMap((of) => [
    ...Object.values(of.contenders).flatMap((figures) => Object.values(figures)),
    ...Object.values(of.ratios),
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

test('what it does not know is answered with the usage', () => {
  for (const args of [[], ['fast'], ['drain', 'hot'], ['drain', '--runs', '0'], ['drain', '--transport', 'mail']]) {
    expect(() => benchOptions(args, names)).toThrow('Usage: npm run bench -- drain')
  }
})
