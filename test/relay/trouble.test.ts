import { expect, test } from 'vitest'
import { mostTrouble, type TroubledTopic, troubleOf } from '../../src/relay/trouble.ts'

const topic = (name: string, pausedBy: string | undefined, ...codes: (string | undefined)[]): TroubledTopic => ({
  name,
  pausedBy,
  lanes: codes.map((stuckBy, partition) => ({ partition, stuckBy })),
})

test('names paused topics as a whole, and of the others the partitions that do not progress', () => {
  expect(
    troubleOf([
      topic('fine', undefined, undefined, undefined),
      topic('gone', 'C', 'D'),
      topic('half', undefined, undefined, 'E'),
    ]),
  ).toEqual([
    { topic: 'gone', partition: null, code: 'C' },
    { topic: 'half', partition: 1, code: 'E' },
  ])
})

test('a topic with many partitions hides no other, and there are never more than twenty', () => {
  const wide = topic('wide', undefined, ...Array.from({ length: 40 }, () => 'N'))
  const found = troubleOf([wide, topic('narrow', undefined, 'N'), topic('gone', 'U')])
  expect(found).toHaveLength(mostTrouble)
  expect(found.slice(0, 3).map((one) => one.topic)).toEqual(['gone', 'wide', 'narrow'])
})
