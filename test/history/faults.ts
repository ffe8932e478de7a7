import type { Fault } from './fault.ts'
import { brokerFaults } from './faults/brokers.ts'
import { clockFaults } from './faults/clock.ts'
import { loadFaults } from './faults/load.ts'
import { networkFaults } from './faults/network.ts'
import { poisonFaults } from './faults/poison.ts'
import { postgresFaults } from './faults/postgres.ts'
import { relayFaults } from './faults/relays.ts'
import { topicFaults } from './faults/topics.ts'

/** Every kind of fault that the torture knows. */
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
