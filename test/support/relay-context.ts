import { setMaxListeners } from 'node:events'
import { onTestFinished } from 'vitest'
import type { RelayContext } from '../../src/relay/context.ts'
import { type RelaySettings, relaySettings } from '../../src/relay/options.ts'
import { RelayState } from '../../src/relay/state/state.ts'
import { Telemetry } from '../../src/relay/telemetry.ts'
import { systemClock } from '../../src/running/clock.ts'
import { memoryTransport } from '../../src/transport/memory.ts'

/** What a stage of a relay is given, for a test of that stage alone. Ends with the test. */
export function relayContext(
  options: Partial<RelaySettings> = {},
  given: Partial<Omit<RelayContext, 'state' | 'settings'>> = {},
): RelayContext {
  const end = new AbortController()
  setMaxListeners(0, end.signal)
  onTestFinished(() => end.abort())
  // Not checked: tests want less room than anybody may set.
  const settings = { ...relaySettings({}), ...options }
  const { clock = systemClock, telemetry = new Telemetry() } = given
  return {
    id: '00000000-0000-4000-8000-000000000000',
    transport: memoryTransport(),
    random: () => 0,
    signal: end.signal,
    ...given,
    clock,
    telemetry,
    settings,
    state: new RelayState(settings, clock, telemetry),
  }
}
