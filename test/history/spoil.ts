import type { TraceLine } from '../../src/proof/history.ts'
import { type CheckName, judge } from './judge.ts'
import { recordOf, type Story, story } from './story.ts'

/** Checks that the spoilt story violates. */
export function violated(spoil: (told: Story) => void): string[] {
  const told = story()
  spoil(told)
  const { verdicts } = judge(told as never)
  return verdicts.filter(({ state }) => state === 'violated').map(({ check }) => check)
}

/** What a check says of a story. */
export const stateOf = (check: CheckName, told: Partial<Story>) =>
  judge(told as never).verdicts.find((verdict) => verdict.check === check)!.state

/** The message of that id, as its transaction enqueued it. */
export const message = (told: Story, id: string) =>
  told.attempts.flatMap(({ messages }) => messages).find((one) => one.id === id)!

/** The records of each dump, to be spoilt in place. */
export const records = (told: Story) => told.dumps.map(({ records }) => records)

/** A relay that found what it had missed. */
export const alarm = { at: 900, what: 'alarm', event: 'row_found_below_position', bucket: 1, id: 7 } as const

/** The trace of the first relay, to be spoilt in place. */
export const lines = (told: Story) => told.traces[0]!.lines

/** Changes the order of two records of a partition in every dump. */
export function swap(told: Story, one: string, other: string): void {
  for (const list of records(told)) {
    const [i, j] = [one, other].map((id) => list.findIndex((record) => record.id === id)) as [number, number]
    const [a, b] = [list[i]!, list[j]!]
    list[i] = { ...b, offset: a.offset }
    list[j] = { ...a, offset: b.offset }
  }
}

/** Puts a copy of a message at the end of its partition, and, if asked, a publish of it into the trace. */
export function copy(told: Story, id: string, publish?: { relay: string; at: number; outcome: 'acked' | 'unknown' }): void {
  let offset = 0
  for (const list of records(told)) {
    const { partition } = recordOf(message(told, id), 0)
    const last = list.findLastIndex((record) => record.partition === partition)
    offset = list[last]!.offset + 1
    list.splice(last + 1, 0, recordOf(message(told, id), offset))
  }
  if (!publish) return
  const { partition } = recordOf(message(told, id), 0)
  const { relay, at, outcome } = publish
  const before: TraceLine[] = [
    { at: at - 1, what: 'owns', how: 'take', leases: [], until: at + 3_000 },
    { at, what: 'publishes', batch: 99, topic: 'steady', partition, ids: [id], leases: [], spareMs: 1, until: at + 1_500 },
    { at: at + 1, what: 'published', batch: 99, outcome, offset: outcome === 'acked' ? offset : null, code: null },
  ]
  const trace = told.traces.find((one) => one.relay === relay)
  if (trace) trace.lines.push(...(before as never[]))
  else told.traces.push({ relay, lines: before as never[] })
}
