import { hostname } from 'node:os'
import { z } from 'zod'
import { OutboxError } from '../message/errors.ts'
import { integer, oneOf, onOff, type Setting, setting, text, type Values } from '../running/setting.ts'
import type { OnDeadLetterByTopic } from './state/on-dead-letter.ts'

/** Settings of a relay. Every one has a default that suits most. Durations are milliseconds, sizes bytes. */
export interface RelayOptions {
  /**
   * Name in logs, tables and `status`, 1 to 200 characters.
   * @default host name and process id
   */
  name?: string | undefined
  /**
   * Length of a lease: how long the buckets of a relay that died stay untouched, 3,000 to 300,000 ms.
   * @default 10000
   */
  leaseMs?: number | undefined
  /**
   * Time in which a request is sent and, at first, answered, 250 to 150,000 ms. Then its outcome counts as unknown, and the next answer
   * gets twice as long, up to 30 s.
   * @default half of the lease, which is also the most
   */
  requestTimeoutMs?: number | undefined
  /**
   * Rows read and not yet deleted, 4 to 1,000,000 rows. One partition may have a quarter, and more while others need less.
   * @default 6000; 12,000 in the exactly-once mode
   */
  maxInFlight?: number | undefined
  /**
   * Bytes read and not yet acknowledged, 1,000 to 4,000,000,000 bytes.
   * @default 67108864
   */
  maxInFlightBytes?: number | undefined
  /**
   * Records of one produce request, 1 to 1,000 records.
   * @default 250; 1,000 in the exactly-once mode
   */
  batchRecords?: number | undefined
  /**
   * Bytes of one produce request, 1,000 to 100,000,000 bytes. Keep it under the broker's `message.max.bytes`.
   * @default 900000
   */
  batchBytes?: number | undefined
  /**
   * Size of key, value and headers from which a row is never loaded, but dead-lettered as MESSAGE_TOO_LARGE, 1,000 to 1,000,000,000 bytes.
   * @default 10485760
   */
  maxRowBytes?: number | undefined
  /**
   * Partition of messages without a key: `topic` keeps their order in one partition of the topic, `spread` uses all in turn.
   * @default 'topic'
   */
  keyless?: 'topic' | 'spread' | undefined
  /**
   * What becomes of the later messages of a key when Kafka rejects one for good: with `block` they wait behind it, with `skip` the relay
   * goes on without it. For all topics, or by topic: `{ '*': 'block', audit_log: 'skip' }`; `*` stands for all that are not named.
   * @default 'block'
   */
  onDeadLetter?: OnDeadLetterByTopic | undefined
  /**
   * Publishes each message exactly once: a batch is recorded in the database before it is sent. All relays of an outbox have the same mode; one of the
   * other mode waits until none of these runs.
   * @default false
   */
  exactlyOnce?: boolean | undefined
  /**
   * Time that `stop()` may take to settle what is in flight, 0 to 600,000 ms.
   * @default 8000
   */
  stopTimeoutMs?: number | undefined
}

/** Options with every default filled in. */
export type RelaySettings = { [K in keyof RelayOptions]-?: NonNullable<RelayOptions[K]> }

const blockOrSkip = z.enum(['block', 'skip'])

/** Reads `skip,audit_log=block`: what holds for all topics, and for single ones. */
function onDeadLetterFrom(given: string): unknown {
  const parts = given.split(',').map((part) => part.trim().split('='))
  return Object.fromEntries(parts.map((part) => (part.length === 1 ? ['*', part[0]] : [part[0], part.slice(1).join('=')])))
}

const blockOrSkipByTopic: Values<OnDeadLetterByTopic> = {
  check: z.union([blockOrSkip, z.record(z.string().regex(/^(\*|[\w.-]{1,249})$/), blockOrSkip)]),
  range: '`block`, `skip`, or these by topic: `skip,audit_log=block`',
  must: 'block or skip, or these by topic, such as skip,audit_log=block',
  fromText: onDeadLetterFrom,
}

/** Each option with its flag, variable, range, default and sentence: checks, `--help` and the reference page come from here. */
export const relayOptions = {
  name: setting(
    '--name <name>',
    'OUTBOX_NAME',
    text('text of 1 to 200 characters', '1 to 200 characters', z.string().min(1).max(200)),
    {
      otherwise: 'host name and process id',
      what: 'Name in logs, tables and `status`',
    },
  ),
  leaseMs: setting('--lease-ms <ms>', 'OUTBOX_LEASE_MS', integer(3_000, 300_000, 'ms'), {
    default: 10_000,
    what: 'Length of a lease: how long the buckets of a relay that died stay untouched',
  }),
  requestTimeoutMs: setting('--request-timeout-ms <ms>', 'OUTBOX_REQUEST_TIMEOUT_MS', integer(250, 150_000, 'ms'), {
    otherwise: 'half of the lease, which is also the most',
    what: 'Time to send a request and to get its first answer; if it is over, the outcome is unknown and the next answer gets twice as long, up to 30 s',
  }),
  maxInFlight: setting('--max-in-flight <n>', 'OUTBOX_MAX_IN_FLIGHT', integer(4, 1_000_000, 'rows'), {
    otherwise: '6000; 12,000 in the exactly-once mode',
    what: 'Rows read and not yet deleted; one partition may have a quarter, and more while others need less',
  }),
  maxInFlightBytes: setting('--max-in-flight-bytes <n>', 'OUTBOX_MAX_IN_FLIGHT_BYTES', integer(1_000, 4_000_000_000, 'bytes'), {
    default: 67_108_864,
    what: 'Bytes read and not yet acknowledged',
  }),
  batchRecords: setting('--batch-records <n>', 'OUTBOX_BATCH_RECORDS', integer(1, 1_000, 'records'), {
    otherwise: '250; 1,000 in the exactly-once mode',
    what: 'Records of one produce request',
  }),
  batchBytes: setting('--batch-bytes <n>', 'OUTBOX_BATCH_BYTES', integer(1_000, 100_000_000, 'bytes'), {
    default: 900_000,
    what: "Bytes of one produce request, at most the broker's `message.max.bytes`; a larger message goes alone",
  }),
  maxRowBytes: setting('--max-row-bytes <n>', 'OUTBOX_MAX_ROW_BYTES', integer(1_000, 1_000_000_000, 'bytes'), {
    default: 10_485_760,
    what: 'Size from which a message is never loaded, but dead-lettered as MESSAGE_TOO_LARGE',
  }),
  keyless: setting('--keyless <way>', 'OUTBOX_KEYLESS', oneOf('topic', 'spread'), {
    default: 'topic',
    what: 'Messages without a key: `topic` keeps their order in one partition, `spread` uses all in turn',
  }),
  onDeadLetter: setting('--on-dead-letter <way>', 'OUTBOX_ON_DEAD_LETTER', blockOrSkipByTopic, {
    default: 'block',
    what: 'After Kafka rejects a message for good, `block` its key or `skip` the message; the flag may come several times',
    page: 'guides/dead-letters.md#block-or-skip',
    repeatable: true,
  }),
  exactlyOnce: setting('--exactly-once', 'OUTBOX_EXACTLY_ONCE', onOff, {
    default: false,
    what: 'Record each batch before it is sent, so that no consumer sees a duplicate',
    page: 'concepts/exactly-once.md',
  }),
  stopTimeoutMs: setting('--stop-timeout-ms <ms>', 'OUTBOX_STOP_TIMEOUT_MS', integer(0, 600_000, 'ms'), {
    default: 8_000,
    what: 'Time to settle what is in flight when the relay stops',
  }),
} satisfies { [K in keyof RelaySettings]: Setting }

type Constant = {
  [K in keyof RelaySettings as (typeof relayOptions)[K] extends { default: unknown } ? K : never]: RelaySettings[K]
}

/** Defaults of {@link RelayOptions}; those that depend on others are computed. */
export const relayDefaults = Object.fromEntries(
  Object.entries<Setting>(relayOptions).flatMap(([name, { default: value }]) => (value === undefined ? [] : [[name, value]])),
) as Constant

/** Makes the error of an option that has a wrong value. */
type Refuse = (name: keyof RelayOptions, what: string) => OutboxError

const optionRefused: Refuse = (name, what) =>
  new OutboxError('INVALID_OPTION', `The relay option ${name} ${what}.`, {
    field: name,
    remedy: 'docs/reference/configuration.md lists every option with its range.',
  })

/**
 * Fills in defaults and checks every value. `refuse` names the option as the user gave it.
 *
 * @throws OutboxError INVALID_OPTION naming option and range.
 */
export function relaySettings(options: RelayOptions, refuse: Refuse = optionRefused): RelaySettings {
  const given = Object.entries(options).filter(([, value]) => value !== undefined) as [keyof RelayOptions, unknown][]
  for (const [name, value] of given) {
    if (!Object.hasOwn(relayOptions, name)) throw refuse(name, 'does not exist')
    const { check, must } = relayOptions[name].values
    if (!check.safeParse(value).success) throw refuse(name, `must be ${must}`)
  }
  const set = { ...relayDefaults, name: `${hostname()}-${process.pid}`, ...Object.fromEntries(given) } as RelaySettings
  set.requestTimeoutMs ??= Math.floor(set.leaseMs / 2)
  // A recorded batch waits for a commit, and a lost answer doubles none of its messages.
  set.batchRecords ??= set.exactlyOnce ? 1_000 : 250
  set.maxInFlight ??= set.exactlyOnce ? 12_000 : 6_000
  // A request must be over before its lease can be.
  if (set.requestTimeoutMs <= set.leaseMs / 2) return set
  throw refuse('requestTimeoutMs', `must be at most half of the lease of ${set.leaseMs} ms`)
}
