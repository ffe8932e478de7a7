import type { RelayOptions } from '../../src/relay/options.ts'
import { RelayEngine, type RelayPorts } from '../../src/relay/relay.ts'
import { type RelayEvent, type RelayEvents, Telemetry } from '../../src/relay/telemetry.ts'
import { postgresStore } from '../../src/store/postgres/store.ts'
import { around, type Transport } from '../../src/transport/transport.ts'

/** One event of a relay under test. */
export type TroubleText = { [E in RelayEvent]: { event: E; fields: RelayEvents[E] } }[RelayEvent]

/** A relay under test, with everything that it told. */
export interface TestRelay extends AsyncDisposable {
  relay: RelayEngine
  told: TroubleText[]
  /** All events of that name so far. */
  all<E extends RelayEvent>(event: E): RelayEvents[E][]
  /** Resolves with the first event of that name, past or future, that fits. */
  until<E extends RelayEvent>(event: E, fits?: (fields: RelayEvents[E]) => boolean): Promise<RelayEvents[E]>
}

/** The same transport, not closed by the relay that uses it: for relays that share one. */
export const shared = (transport: Transport): Transport => around(transport, { close: async () => {} })

/** A relay on a test database; shorter leases than the default, so that take-overs are quick. */
export function testRelay(
  databaseUrl: string,
  transport: Transport,
  options: RelayOptions = {},
  ports: Partial<RelayPorts> = {},
): TestRelay {
  const telemetry = new Telemetry()
  const told: TroubleText[] = []
  const waiting = new Set<() => void>()
  telemetry.on('*', (event, fields) => {
    told.push({ event, fields } as TroubleText)
    for (const look of waiting) look()
  })
  const store = postgresStore({ databaseUrl })
  const relay = new RelayEngine({ store, transport, version: '0.0.0-test', telemetry, ...ports }, { leaseMs: 3_000, ...options })
  return {
    relay,
    told,
    all: <E extends RelayEvent>(event: E) => told.flatMap((one) => (one.event === event ? [one.fields as RelayEvents[E]] : [])),
    until: <E extends RelayEvent>(event: E, fits: (fields: RelayEvents[E]) => boolean = () => true) =>
      new Promise<RelayEvents[E]>((resolve) => {
        const look = () => {
          const found = told.find((one) => one.event === event && fits(one.fields as RelayEvents[E]))
          if (!found) return
          waiting.delete(look)
          resolve(found.fields as RelayEvents[E])
        }
        waiting.add(look)
        look()
      }),
    [Symbol.asyncDispose]: () => relay.stop(),
  }
}

/** As {@link testRelay}, and it has started. */
export async function startedRelay(...how: Parameters<typeof testRelay>): Promise<TestRelay> {
  const one = testRelay(...how)
  await one.relay.start()
  return one
}
