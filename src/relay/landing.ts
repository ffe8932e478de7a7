import type { Clock } from '../running/clock.ts'
import { isProgrammingError } from '../running/programming-error.ts'
import type { DrainOptions, DrainReport } from './drain.ts'
import type { Relay } from './relay.ts'
import { type RelayEvent, Telemetry } from './telemetry.ts'

/** Events that a relay tells of itself, its database and its brokers: the one that lands would repeat them. */
const ofEachRelay: ReadonlySet<RelayEvent> = new Set([
  'started',
  'stopped',
  'heartbeat',
  'database_trouble',
  'database_recovered',
  'kafka_trouble',
  'kafka_recovered',
  'outboxes_without_relay',
])

/** Milliseconds between a landing that left a batch recorded and the next one: of a paused topic, perhaps. */
const againMs = 5_000

/** What a landing is given. */
export interface LandingPorts {
  /** Makes a relay of the exactly-once mode on the same database and the same brokers. */
  readonly relay: (telemetry: Telemetry) => Relay
  /** What is left of the bounds of the relay that it works for; undefined: nothing. */
  readonly bounds: () => DrainOptions | undefined
  /** Called with a bug, which ends the relay. */
  readonly failed: (error: Error) => void
  readonly telemetry: Telemetry
  readonly clock: Clock
}

/**
 * Publishes, for a plain relay, the batches that relays of the exactly-once mode have recorded and not finished, so that the mode can change: it
 * drains the outbox with a relay of that mode. Belongs to the leases, which begin it when no lease of that mode runs. Keeps rule 29 of
 * docs/protocol-exactly-once.md.
 */
export class Landing {
  readonly #ports: LandingPorts
  #state: 'none' | 'running' | 'over' = 'none'
  #next = Number.NEGATIVE_INFINITY

  constructor(ports: LandingPorts) {
    this.#ports = ports
  }

  /** `over`: it has ended, and the leases have not tried to change the mode since. A drain and a stop read it. */
  get state(): 'none' | 'running' | 'over' {
    return this.#state
  }

  /**
   * Begins, unless one runs, has just left a batch recorded, or has no time. Resolves at its end with the number of messages that it has published;
   * undefined: none began.
   */
  async begin(): Promise<number | undefined> {
    const { bounds, clock } = this.#ports
    const given = bounds()
    if (this.#state !== 'none' || clock.now() < this.#next || !given) return undefined
    this.#state = 'running'
    const report = await this.#drain(given)
    if (report?.endedBy !== 'empty') this.#next = clock.now() + againMs
    this.#state = 'over'
    return report?.published ?? 0
  }

  /** The leases have tried to change the mode since it ended. */
  clear(): void {
    this.#state = 'none'
  }

  /** A fault of a server ends it: its own relay has waited for that server, and the next landing comes. */
  async #drain(bounds: DrainOptions): Promise<DrainReport | undefined> {
    const telemetry = new Telemetry()
    telemetry.on('*', (...[event, fields]) => {
      if (!ofEachRelay.has(event)) this.#ports.telemetry.emit(event, fields as never)
    })
    try {
      return await this.#ports.relay(telemetry).drain(bounds)
    } catch (error) {
      if (isProgrammingError(error)) this.#ports.failed(error)
      return undefined
    }
  }
}
