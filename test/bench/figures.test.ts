import { expect, test } from 'vitest'

import { spread } from '../../bench/figures.ts'

const upTo = (n: number) => Array.from({ length: n }, (_, index) => n - index)

// Ranks of the tables for the sign test: 95 % of all samples have the median between them.
test.each<[number, { median: number; half: [number, number]; known: [number, number] }]>([
  [1, { median: 1, half: [1, 1], known: [1, 1] }],
  [5, { median: 3, half: [2, 4], known: [1, 5] }],
  [6, { median: 3.5, half: [2, 5], known: [1, 6] }],
  [10, { median: 5.5, half: [3, 8], known: [2, 9] }],
  [25, { median: 13, half: [7, 19], known: [8, 18] }],
  [40, { median: 20.5, half: [10, 31], known: [14, 27] }],
])('of %i runs', (n, expected) => {
  expect(spread(upTo(n))).toEqual({ ...expected, least: 1, most: n })
})
