import type { Fault } from './fault.ts'
import { brokerFaults } from './faults/brokers.ts'
import { clockFaults } from './faults/clock.ts'
import { loadFaults } from './faults/load.ts'
import { lateAnswers, networkFaults } from './faults/network.ts'
import { oversized, poisonFaults } from './faults/poison.ts'
import { postgresFaults } from './faults/postgres.ts'
import { relayFaults } from './faults/relays.ts'
import { topicFaults } from './faults/topics.ts'

/** Every kind of fault that the torture draws. */
export const allFaults: readonly Fault[] = [
  ...relayFaults,
  ...postgresFaults,
  ...loadFaults,
  ...networkFaults,
  ...brokerFaults,
  ...topicFaults,
  ...clockFaults,
  ...poisonFaults,
]

/** Those that `--faults` may name: some are made to measure for a broken relay, and a sound one is to stand them as well. */
export const namedFaults: readonly Fault[] = [...allFaults, lateAnswers, oversized]
