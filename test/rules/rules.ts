import type { Edit } from '../support/edits.ts'
import { enqueueRules } from './enqueue-rules.ts'
import { inboxRules } from './inbox-rules.ts'
import { readingRules } from './reading-rules.ts'
import { sendingRules } from './sending-rules.ts'
import { writingRules } from './writing-rules.ts'

/** A part of one of the rules that keep the promises, how it is taken out, and the tests that must notice. */
export interface TakenOut {
  /** Its number in docs/protocol.md. */
  rule: number
  /** What the code does without it. */
  without: string
  edits: readonly Edit[]
  /** File of the tests, below test/. */
  file: string
  /** Part of their names. */
  tests: string
}

/** Every part of every rule. */
export const takenOut: readonly TakenOut[] = [...sendingRules, ...readingRules, ...writingRules, ...enqueueRules, ...inboxRules]
