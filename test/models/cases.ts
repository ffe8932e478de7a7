import { randomFrom } from '../../src/proof/draw.ts'
import { type Explored, explore, type Model, walk } from './explore.ts'
import { recordedBatches, type Setting } from './recorded-batches.ts'
import type { State } from './state.ts'

const one = 0b0100
const oneKey = 0b1100
const twoBuckets = 0b0101

/** Settings in which every state keeps the promises. */
export const sound: Readonly<Record<string, Setting>> = {
  'two buckets, a crash, the leader fails': { rows: twoBuckets, left: { take: 3, crash: 1, fail: 1 } },
  'one key, an answer lost or late, a lease ends, the leader fails': {
    rows: oneKey,
    left: { take: 3, expire: 1, lose: 1, fail: 1 },
  },
  'one row, an answer lost or late, a crash, the leader fails': { rows: one, left: { take: 3, crash: 1, lose: 1, fail: 1 } },
  'one key with a refused row, an answer lost or late, a crash': {
    ...{ rows: oneKey, refused: one },
    left: { take: 2, crash: 1, lose: 1 },
  },
  'one key, a limit is lowered, an answer lost or late, a crash': {
    ...{ rows: oneKey, refusedLater: one },
    left: { take: 2, crash: 1, lose: 1, lower: 1 },
  },
}

/** Too many states to visit all. */
export const large: Readonly<Record<string, Setting>> = {
  'two buckets, an answer lost or late, a lease ends': { rows: twoBuckets, left: { take: 3, expire: 1, lose: 1 } },
  'two buckets, a crash, a lease ends, the leader fails': { rows: twoBuckets, left: { take: 4, crash: 1, expire: 1, fail: 1 } },
  'one row, an answer lost or late, a crash, a lease ends, the leader fails': {
    rows: one,
    left: { take: 3, crash: 1, expire: 1, lose: 1, fail: 1 },
  },
}

const everything = { take: 6, crash: 2, expire: 3, lose: 4, fail: 1 }

/** Settings in which nobody can visit every state: walks at random. */
export const walks: Readonly<Record<string, Setting>> = {
  'all rows, everything': { rows: 0b1101, late: 0b0010, left: everything },
  'all rows, everything, a refused row': { rows: 0b1101, late: 0b0010, refused: one, left: everything },
  'all rows, everything, a limit is lowered': {
    rows: 0b1101,
    late: 0b0010,
    refusedLater: one,
    left: { ...everything, lower: 1 },
  },
}

/** A setting that breaks a promise. */
export interface Broken {
  setting: Setting
  breaks: RegExp
}

const crash: Setting = { rows: one, left: { take: 2, crash: 1 } }
const zombie: Setting = { rows: one, left: { take: 2, expire: 1 } }
const lowered = (lose: number): Setting => ({ rows: one, refusedLater: one, left: { take: 1, lose, lower: 1 } })

/** What a relay does without a part of a rule: the setting is sound without the mutant. */
export const mutants: Readonly<Record<string, Broken & { rule: number }>> = {
  'uses the numbers of a refused batch again': {
    ...{ rule: 21, breaks: /is lost/ },
    setting: { rows: oneKey, refused: one, left: { take: 1, lose: 1, raise: 1 } },
  },
  'sends other rows under the numbers': {
    ...{ rule: 21, breaks: /twice/ },
    setting: { rows: one, late: 0b1000, left: { take: 1, lose: 1 } },
  },
  'sends again under new numbers': { rule: 21, breaks: /twice/, setting: { rows: one, left: { take: 1, lose: 1 } } },
  'sends before it records': { rule: 26, breaks: /twice/, setting: crash },
  'records without leases': { rule: 26, breaks: /twice/, setting: zombie },
  'records under one lease': { rule: 26, breaks: /twice/, setting: { rows: twoBuckets, left: { take: 3, expire: 1 } } },
  'ends the record before the rows': { rule: 26, breaks: /twice/, setting: crash },
  'adopts nothing': { rule: 27, breaks: /twice/, setting: crash },
  'reads the records before it claims': { rule: 27, breaks: /twice/, setting: zombie },
  'sends adopted batches under its own numbers': { rule: 27, breaks: /twice/, setting: crash },
  'takes a refusal for absence': { rule: 28, breaks: /dead-lettered/, setting: lowered(1) },
  'takes a failed search for an empty one': { rule: 28, breaks: /dead-lettered/, setting: lowered(2) },
}

/** What no relay can avoid: the limits that docs/concepts/exactly-once.md names. */
export const limits: Readonly<Record<string, Broken>> = {
  'a partition forgets the producer of a batch in doubt': {
    ...{ breaks: /twice/ },
    setting: { rows: one, left: { take: 1, lose: 1, forget: 1 } },
  },
  'a limit is raised while a copy of a refused batch is under way': {
    ...{ breaks: /dead-lettered/ },
    setting: { rows: one, refused: one, left: { take: 1, lose: 1, raise: 1 } },
  },
  'a limit is raised while another relay still sends a withdrawn batch': {
    ...{ breaks: /dead-lettered/ },
    setting: { rows: one, refused: one, left: { take: 2, expire: 1, raise: 1 } },
  },
  'a limit is lowered before a batch is replicated': {
    ...{ breaks: /dead-lettered/ },
    setting: { rows: one, refusedLater: one, left: { take: 1, lose: 1, lower: 1, lag: 1 } },
  },
}

/** Visits every state of a setting; `breaks`: other promises do not count. */
export function visit(setting: Setting, breaks?: RegExp): Explored {
  const model = recordedBatches(setting)
  return explore(breaks ? only(model, breaks) : model, 1_000_000)
}

function only(model: Model<State>, breaks: RegExp): Model<State> {
  const violation = (state: State) => {
    const what = model.violation(state)
    return what !== undefined && breaks.test(what) ? what : undefined
  }
  return { ...model, violation }
}

/** Walks so many steps at random. */
export const wander = (setting: Setting, steps: number, seed: number): Explored =>
  walk(recordedBatches(setting), steps, randomFrom(seed))

/** One line for people. */
export function told(name: string, { states, isWhole, violation }: Explored): string {
  if (violation) return `${name}: ${violation.what} after ${violation.steps.length} steps, ${states} states visited`
  return `${name}: ${states} ${isWhole ? 'states, all visited' : 'steps at random'}, every promise kept`
}
