import { type RelayHealth, relayHealth } from '../ops/liveness.ts'
import type { Relay } from '../relay/relay.ts'

/** As `@nestjs/terminus` takes it. */
export type OutboxHealthResult = Record<string, { status: 'up' | 'down'; relay: string }>

/**
 * Health of the relay of {@link OutboxModule}, to inject. Of `@nestjs/terminus` it needs nothing, so it also serves a controller of your own.
 *
 * @example
 * ```ts
 * @Get('health') @HealthCheck()
 * check() { return this.health.check([() => this.outbox.isHealthy()]) }
 * ```
 */
export class OutboxHealthIndicator {
  readonly #relay: RelayHealth | undefined

  /** @internal Inject it. */
  constructor(relay: Relay | undefined) {
    this.#relay = relay && relayHealth(relay)
  }

  /** `down` only if a restart could help: a relay that waits for PostgreSQL or Kafka is `up`, and `relay` says what it waits for. */
  isHealthy(key = 'outbox'): OutboxHealthResult {
    const { alive, why } = this.#relay?.live ?? { alive: true, why: 'runs elsewhere' }
    return { [key]: { status: alive ? 'up' : 'down', relay: why } }
  }
}
