import { judge as judgeBy, proofChecks } from '../../src/proof/checks.ts'
import type { History } from '../../src/proof/history.ts'
import { checkResources } from './resource-checks.ts'
import { checkTrace } from './trace-checks.ts'

const { liveness, ...onLog } = proofChecks

/** The ten checks of the torture, in the order of the table: those of `prove`, and those that need the traces of the relays. */
const checks = { ...onLog, trace: checkTrace, liveness, resources: checkResources }

/** Name of a check. */
export type CheckName = keyof typeof checks

/** The names of the ten checks. */
export const checkNames = Object.keys(checks) as CheckName[]

/** Judges a history by all ten checks. */
export const judge = (history: History) => judgeBy(history, checks)
