import { stackOf } from '../../running/stack-of.ts'
import type { Telemetry } from '../telemetry.ts'

/** Code of an error that is no Kafka's: the client threw what its contract forbids. The record may be in the log all the same. */
export const bugCode = 'INTERNAL_ERROR'

/** Tells of a client that threw what its contract forbids. */
export const tellBug = (telemetry: Telemetry, during: 'publish' | 'asked' | 'search', error: unknown): void =>
  telemetry.emit('internal_error', { during, error: stackOf(error) })
