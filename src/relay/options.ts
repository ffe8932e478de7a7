import { hostname } from 'node:os'
import { z } from 'zod'
import { OutboxError } from '../message/errors.ts'
import type { OnDeadLetterByTopic } from './state/on-dead-letter.ts'

/** Settings of a relay. Every one has a default that suits most. Durations are milliseconds, sizes bytes. */
export interface RelayOptions {
  /** Name in logs, tables and `status`. Default: host name and process id. */
  name?: string | undefined
  /**
   * Length of a lease: how long the buckets of a relay that died stay untouched. 3,000 to 300,000.
   * @default 10000
   */
  leaseMs?: number | undefined
  /**
   * Time in which a request is sent and, at first, answered; then its outcome counts as unknown, and the next answer gets twice as long, up
   * to 30 s. At most half a lease.
   * @default half of `leaseMs`
   */
  requestTimeoutMs?: number | undefined
  /**
   * Rows of one read. More gains nothing; less costs CPU.
   * @default 2000
   */
  fetchRows?: number | undefined
  /**
   * Rows read and not yet deleted. One partition may have a quarter, and more while others need less.
   * @default 6000
   */
  maxInFlight?: number | undefined
  /**
   * Bytes read and not yet acknowledged.
   * @default 67108864
   */
  maxInFlightBytes?: number | undefined
  /**
   * Records of one produce request. 1 to 1,000.
   * @default 250
   */
  batchRecords?: number | undefined
  /**
   * Bytes of one produce request. Keep it under the broker's `message.max.bytes`.
   * @default 900000
   */
  batchBytes?: number | undefined
  /**
   * Size of key, value and headers from which on a row is never loaded, but dead-lettered as MESSAGE_TOO_LARGE.
   * @default 10485760
   */
  maxRowBytes?: number | undefined
  /**
   * Where messages without a key go: `topic` keeps their order in one partition of the topic, `spread` uses all in turn.
   * @default 'topic'
   */
  keyless?: 'topic' | 'spread' | undefined
  /**
   * What becomes of the later messages of a key when one is refused for good: with `hold` they wait behind it, with `skip` the relay goes
   * on without it. For all topics, or by topic: `{ '*': 'block', audit_log: 'skip' }`; `*` stands for all that are not named.
   * @default 'block'
   */
  onDeadLetter?: OnDeadLetterByTopic | undefined
  /**
   * Time that `stop()` may take to settle what is in flight.
   * @default 8000
   */
  stopTimeoutMs?: number | undefined
}

/** Defaults of {@link RelayOptions}; those that depend on others are computed. */
export const relayDefaults = {
  leaseMs: 10_000,
  fetchRows: 2_000,
  maxInFlight: 6_000,
  maxInFlightBytes: 67_108_864,
  batchRecords: 250,
  batchBytes: 900_000,
  maxRowBytes: 10_485_760,
  keyless: 'topic',
  onDeadLetter: 'block',
  stopTimeoutMs: 8_000,
} as const satisfies RelayOptions

/** Options with every default filled in. */
export type RelaySettings = { [K in keyof RelayOptions]-?: NonNullable<RelayOptions[K]> }

const integer = (least: number, most: number) => z.number().int().min(least).max(most)

const onDeadLetter = z.enum(['block', 'skip'])

const schema = z.strictObject({
  name: z.string().min(1).max(200),
  leaseMs: integer(3_000, 300_000),
  requestTimeoutMs: integer(250, 150_000),
  fetchRows: integer(1, 20_000),
  maxInFlight: integer(4, 1_000_000),
  maxInFlightBytes: integer(1_000, 4_000_000_000),
  batchRecords: integer(1, 1_000),
  batchBytes: integer(1_000, 100_000_000),
  maxRowBytes: integer(1_000, 1_000_000_000),
  keyless: z.enum(['topic', 'spread']),
  onDeadLetter: z.union(
    [onDeadLetter, z.record(z.string().regex(/^(\*|[\w.-]{1,249})$/), onDeadLetter)],
    'must be blockedKey or skip, or one of these for each topic',
  ),
  stopTimeoutMs: integer(0, 600_000),
})

/**
 * Fills in defaults and checks every value.
 *
 * @throws OutboxError INVALID_OPTION naming option and range.
 */
export function relaySettings(options: RelayOptions): RelaySettings {
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
  const leaseMs = typeof given.leaseMs === 'number' ? given.leaseMs : relayDefaults.leaseMs
  const computed = { name: `${hostname()}-${process.pid}`, requestTimeoutMs: Math.floor(leaseMs / 2) }
  const result = schema.safeParse({ ...relayDefaults, ...computed, ...given })
  if (!result.success) {
    const [issue] = result.error.issues
    const field = issue!.code === 'unrecognized_keys' ? issue!.keys[0]! : issue!.path.join('.')
    throw new OutboxError('INVALID_OPTION', `The relay option ${field} is wrong: ${issue!.message}.`, {
      field,
      remedy: 'docs/reference/configuration.md lists every option with its range.',
    })
  }
  if (result.data.requestTimeoutMs > result.data.leaseMs / 2) {
    throw new OutboxError('INVALID_OPTION', 'The relay option requestTimeoutMs is more than half of leaseMs.', {
      field: 'requestTimeoutMs',
      remedy: 'A request must be over before its lease can be: lower requestTimeoutMs or raise leaseMs.',
    })
  }
  return result.data
}
