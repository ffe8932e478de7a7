import { expect, test } from 'vitest'
import { topicsText } from '../../src/cli/published.ts'

test('the line names the topics with the most messages, and says how many more there are', () => {
  expect(topicsText(new Map([['a', 1]]))).toBe('a 1')
  const many = new Map(Array.from({ length: 6 }, (_, n) => [`t${n}`, n + 1]))
  expect(topicsText(many)).toBe('t5 6, t4 5, t3 4, t2 3, t1 2 and 1 more topic')
  expect(topicsText(new Map([...many, ['t6', 1]]))).toMatch(/ and 2 more topics$/)
})
