import type { TraceLine } from '../../src/proof/history.ts'
import { judge } from './judge.ts'
import { type Story, story } from './story.ts'

type Line = Story['traces'][0]['lines'][0]

/** The {@link story} in the exactly-once mode: the claimed buckets are read for records, and each message is a batch that is recorded, sent and landed. */
export function onceStory(): Story {
  const told = story()
  told.exactlyOnce = true
  told.traces[0]!.lines = recorded(told.traces[0]!.lines)
  return told
}

function recorded(lines: readonly Line[]): Line[] {
  const [owns, ...others] = lines as [Extract<TraceLine, { what: 'owns' }>, ...Line[]]
  const buckets = owns.leases.map(([bucket]) => bucket)
  const told: TraceLine[] = [owns, { at: 1, what: 'adopts', buckets, batches: [], after: 0.5 }]
  const next = new Map<number, number>()
  let statement = 0
  let batch = ''
  for (const line of others) {
    if (line.what === 'publishes') {
      const sequence = next.get(line.partition) ?? 0
      next.set(line.partition, sequence + line.ids.length)
      batch = `7/0/${line.topic}/${line.partition}/${sequence}`
      const held = line.leases.map(([bucket]) => bucket!)
      const begun = [{ batch, ids: line.ids, buckets: held }]
      const leases = line.leases as [number, number][]
      told.push(work(line.at - 2, ++statement, { begun, leases }), answer(line.at - 1, statement, held))
      told.push({ ...line, numbers: batch } as TraceLine)
    } else if (line.what === 'settles') {
      told.push(line, work(line.at, ++statement, { landed: [batch] }), answer(line.at + 0.5, statement, []))
    } else told.push(line as TraceLine)
  }
  return told as Line[]
}

const nothing = { begun: [], landed: [], acknowledged: [], withdrawn: [], leases: [] }

/** A statement of the recorder. */
export const work = (at: number, statement: number, more: Partial<Extract<TraceLine, { what: 'records' }>>): TraceLine => ({
  at,
  what: 'records',
  statement,
  ...nothing,
  ...more,
})

/** Its answer. */
export const answer = (at: number, statement: number, held: readonly number[], withdrawn = 0): TraceLine => ({
  at,
  what: 'recorded',
  statement,
  held,
  withdrawn,
})

/** Checks that the spoilt story violates, in the exactly-once mode. */
export const violatedOnce = (spoil: (told: Story) => void): string[] => [
  ...new Set(judged(spoil).violations.map(({ check }) => check)),
]

/** What the spoilt story violates, in words. */
export const brokenOnce = (spoil: (told: Story) => void): string[] => judged(spoil).violations.map(({ expected }) => expected)

function judged(spoil: (told: Story) => void) {
  const told = onceStory()
  spoil(told)
  for (const { lines } of told.traces) lines.sort((a, b) => a.at - b.at)
  return judge(told as never)
}
