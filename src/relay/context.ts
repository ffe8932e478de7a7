import type { Clock } from '../running/clock.ts'
import type { SearchLog, Transport } from '../transport/transport.ts'
import type { RelaySettings } from './options.ts'
import type { RelayState } from './state/state.ts'
import type { Telemetry } from './telemetry.ts'

/** What every stage of a relay is given: made once by the pipeline, and never changed. What changes is in {@link RelayState}. */
export interface RelayContext {
  /** UUID of the relay. */
  readonly id: string
  readonly settings: RelaySettings
  /** Rows of one fetch. */
  readonly fetchRows: number
  readonly transport: Transport
  /** Searches the log for records; undefined: nobody can. */
  readonly search?: SearchLog | undefined
  readonly clock: Clock
  readonly telemetry: Telemetry
  /** 0 to 1, without 1. */
  readonly random: () => number
  /** The end of the relay. */
  readonly signal: AbortSignal
  readonly state: RelayState
}
