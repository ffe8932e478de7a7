import { stackOf } from '../../running/programming-error.ts'
import type { Telemetry } from '../telemetry.ts'

/** Code of an error that is no Kafka's: the client threw what its contract forbids. */
export const bugCode = 'INTERNAL_ERROR'

/** What is said of it: its own message may hold data. */
export const bugText = 'An error of the program, not of Kafka.'

/** Tells of a client that threw what its contract forbids. */
export const tellBug = (telemetry: Telemetry, during: 'publish' | 'asked', error: unknown): void =>
  telemetry.emit('internal_error', { during, error: stackOf(error) })
