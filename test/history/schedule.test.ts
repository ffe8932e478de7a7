import { expect, test } from 'vitest'
import type { Fault } from './fault.ts'
import { tortureDefaults, tortureOptions } from './options.ts'
import { drawSchedule } from './schedule.ts'

const kinds: Fault[] = ['a', 'b', 'c', 'd', 'e'].map((name) => ({
  name,
  what: '',
  lastsMs: [100, 500],
  begin: async () => async () => {},
}))

test('a seed gives one schedule, another seed another', () => {
  expect(drawSchedule(5, kinds, 60_000, 1_000)).toEqual(drawSchedule(5, kinds, 60_000, 1_000))
  expect(drawSchedule(5, kinds, 60_000, 1_000)).not.toEqual(drawSchedule(6, kinds, 60_000, 1_000))
})

test('every kind is used as often as the others, within its time, at about the rate that was asked for', () => {
  const { faults } = drawSchedule(5, kinds, 600_000, 1_000)
  const counts = kinds.map(({ name }) => faults.filter(({ fault }) => fault === name).length)
  expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
  expect(faults.length).toBeGreaterThan(500)
  expect(faults.length).toBeLessThan(700)
  for (const { atMs, lastsMs } of faults) {
    expect(atMs).toBeLessThan(600_000)
    expect(lastsMs).toBeGreaterThanOrEqual(100)
    expect(lastsMs).toBeLessThanOrEqual(500)
  }
})

test('ten minutes without further options give at least 300 faults', () => {
  const { faults } = drawSchedule(1, kinds, tortureDefaults.forMs, tortureDefaults.everyMs)
  expect(faults.length).toBeGreaterThanOrEqual(300)
})

test('arguments of the command', () => {
  const given = ['--seed', '7', '--minutes', '2', '--faults', 'a,b', '--keep', '--isolation', 'serializable', '--brokers', '1']
  expect(tortureOptions(given, 0)).toMatchObject({
    seed: 7,
    forMs: 120_000,
    faults: ['a', 'b'],
    keep: true,
    isolation: 'serializable',
    brokers: 1,
  })
  expect(tortureOptions([], 41)).toEqual({ ...tortureDefaults, seed: 42 })
  for (const wrong of [['--sed', '7'], ['--seed', '0'], ['--seed'], ['--mutant', '--keep']]) {
    expect(() => tortureOptions(wrong, 0)).toThrow('npm run torture')
  }
})
