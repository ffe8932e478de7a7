import type { Fault } from './fault.ts'
import { loadFaults } from './faults/load.ts'
import { postgresFaults } from './faults/postgres.ts'
import { relayFaults } from './faults/relays.ts'

/** Every kind of fault that the torture knows. */
export const allFaults: readonly Fault[] = [...relayFaults, ...postgresFaults, ...loadFaults]
