import type { Fault } from './fault.ts'
import { brokerFaults } from './faults/brokers.ts'
import { clockFaults, steppedBack } from './faults/clock.ts'
import { loadFaults } from './faults/load.ts'
import { mended } from './faults/mended.ts'
import { lateAnswers, networkFaults } from './faults/network.ts'
import { oversized, poisonFaults } from './faults/poison.ts'
import { postgresFaults } from './faults/postgres.ts'
import { cutOff, neverAnswered, relayFaults } from './faults/relays.ts'
import { idsAgain, putBelow, rowFaults } from './faults/rows.ts'
import { growsInTime, topicFaults } from './faults/topics.ts'

/** Every kind of fault that the torture draws. */
export const allFaults: readonly Fault[] = [
  ...relayFaults,
  neverAnswered,
  ...rowFaults,
  ...postgresFaults,
  ...loadFaults,
  ...networkFaults,
  ...brokerFaults,
  ...topicFaults,
  ...clockFaults,
  ...poisonFaults,
]

/** Made to measure for broken relays. */
export const forBroken: readonly Fault[] = [lateAnswers, oversized, steppedBack, cutOff, idsAgain, putBelow, mended, growsInTime]

/** Those that `--faults` may name: some are made to measure for a broken relay, and a sound one is to stand them as well. */
export const namedFaults: readonly Fault[] = [...allFaults, ...forBroken]
