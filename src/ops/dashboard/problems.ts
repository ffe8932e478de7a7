import type { TableSet } from '../../message/tables.ts'
import type { RelayEvents } from '../../relay/telemetry.ts'
import type { OutboxSample } from '../../store/operator.ts'
import { counted, span } from '../format.ts'
import { describeSilent, describeUnrelayed, stuckOf, told } from '../trouble.ts'
import { commandLine } from './command.ts'

/** How a relay and its outbox stand, as far as problems go. */
export interface Situation {
  /** Whether the relay lives, and why it is thought so. */
  live: { alive: boolean; why: string }
  databaseTrouble: string | undefined
  kafkaTrouble: string | undefined
  /** Topics that this relay has paused: the heartbeats of the last look may not tell of them yet. */
  paused: ReadonlyMap<string, string>
  /** Brokers for the commands that help. */
  servers: string
  sample: RelayEvents['sampled'] | undefined
  sampleFailed: string | undefined
  dying: boolean
  disordered: boolean
  /** Somebody has locked rows that this relay must delete or move. */
  locked: boolean
  /** Buckets have belonged to no relay for longer than a lease time: no relay that lives takes them. */
  unownedLong: boolean
  /** Messages that Kafka has acknowledged, and that a trigger or rule keeps. */
  kept: number
}

/** Something that wants a person. */
export interface Problem {
  /** Section of docs/runbook.md. */
  runbook: string
  what: string
  remedy: string
  /** Command that shows more, or fixes it. */
  command?: string | undefined
  /** Relays settle it within a lease time. @default false */
  passing?: boolean
}

/** How bad a problem is. */
export type Tone = 'amber' | 'red'

/** Problems whose alerts open a ticket and wake nobody, as in ops/alerts.yml. */
const tickets = new Set([
  'OutboxDeadLetter',
  'OutboxLeasesFlapping',
  'OutboxXminHeld',
  'OutboxRelaySilent',
  'OutboxRowsLocked',
  'OutboxBlind',
  'OutboxOrderAtRisk',
])

/** Red: its alert pages somebody. Amber: it opens a ticket, or relays are about to settle it. */
export const toneOf = ({ runbook, passing = false }: Problem): Tone => (passing || tickets.has(runbook) ? 'amber' : 'red')

/** Milliseconds that a message may wait, and a transaction may stay open, as in ops/alerts.yml. */
export const lagMs = 60_000
export const transactionMs = 900_000

/** Topics that are named one by one. */
const named = 10

/** What is wrong, the worst first, each with its remedy. */
export function problems(situation: Situation): Problem[] {
  const { sample, unownedLong } = situation
  const found = [...ofRelay(situation), ...ofTopics(situation), ...(sample ? ofTables(sample, unownedLong) : [])]
  const rank = (problem: Problem) => (toneOf(problem) === 'red' ? 0 : 1)
  return found.sort((a, b) => rank(a) - rank(b))
}

/** What can be told from the tables alone, of all relays. */
export const tableProblems = (sample: OutboxSample, servers: string): Problem[] => [
  ...ofTopics({ paused: new Map(), sample, servers }),
  ...ofTables(sample, true),
]

/** Other outboxes of the database that have messages and no relay. */
export const otherProblems = (outboxes: readonly TableSet[]): Problem[] =>
  outboxes.map((one) => ({ runbook: 'OutboxNoRelay', ...describeUnrelayed(one) }))

function ofRelay(situation: Situation): Problem[] {
  const { live, databaseTrouble, kafkaTrouble, sampleFailed, dying, disordered, locked, kept } = situation
  const found: (Problem | false)[] = [
    !live.alive && {
      runbook: 'OutboxNoProgress',
      what: `This relay is stuck: ${live.why}.`,
      remedy: 'Restart it, and please report its log.',
    },
    databaseTrouble !== undefined && {
      runbook: 'OutboxDatabaseTrouble',
      what: `The database does not serve this relay (${databaseTrouble}).`,
      remedy: 'Help the database. The relay connects again on its own.',
    },
    kafkaTrouble !== undefined && {
      runbook: 'OutboxKafkaTrouble',
      what: `Kafka takes no messages (${kafkaTrouble}).`,
      remedy: 'Help Kafka. Messages wait meanwhile, and flow off by themselves. Watch the disk of the database.',
    },
    kept > 0 && {
      runbook: 'OutboxRowsKept',
      what: `${counted(kept, 'published message')} cannot be deleted: a trigger or a rule keeps ${kept === 1 ? 'it' : 'them'}.`,
      remedy: 'Drop the trigger or rule. Do not restart the relay: it would send them once more.',
      command: commandLine(['doctor']),
    },
    locked && {
      runbook: 'OutboxRowsLocked',
      what: 'Another session keeps messages locked.',
      remedy: 'End its transaction: see the runbook. Other messages are published meanwhile.',
    },
    sampleFailed !== undefined && {
      runbook: 'OutboxBlind',
      what: `The last look at the tables failed (${sampleFailed}): figures of the tables are old.`,
      remedy: 'Grant what ops/grants.sql lists for the relay. 57014 is a look that took too long.',
    },
    dying && {
      runbook: 'OutboxLeasesFlapping',
      what: 'Relays died one after another within the last hour.',
      remedy: 'Give them more CPU, or a longer lease. One message may be crashing its reader: look at the first rows.',
      command: commandLine(['list', '--limit', '10']),
    },
    disordered && {
      runbook: 'OutboxOrderAtRisk',
      what: 'A row had the wrong bucket, or was found late, or a topic changed its number of partitions.',
      remedy: 'See the log of this relay: wrong_bucket, row_found_below_position, partitions_changed.',
    },
  ]
  return found.filter((one) => one !== false)
}

function ofTopics({
  paused,
  sample,
  servers,
}: Pick<Situation, 'paused' | 'servers'> & { sample: OutboxSample | undefined }): Problem[] {
  const relays = sample?.relays ?? []
  const own = [...paused].map(([topic, code]) => ({ topic, partition: null, code }))
  const stuck = stuckOf(relays, own)
  const silent = relays
    .filter(({ withoutKafka }) => withoutKafka)
    .slice(0, named)
    .map((relay) => ({ runbook: 'OutboxRelaySilent', ...describeSilent(relay) }))
  const pauses = stuck.slice(0, named).map((one) => ({ runbook: 'OutboxTopicPaused', ...told(one, servers) }))
  // Another relay would not help where a topic is stuck, or where no relay has Kafka.
  const allSilent = silent.length > 0 && relays.every(({ alive, withoutKafka }) => !alive || withoutKafka)
  const known = new Set(stuck.map(({ topic }) => topic))
  const late = (sample?.topics ?? []).filter((one) => one.oldestMs > lagMs && !known.has(one.topic) && !allSilent)
  const lags = late
    .sort((a, b) => b.oldestMs - a.oldestMs)
    .slice(0, named)
    .map(({ topic, oldestMs }) => ({
      runbook: 'OutboxLag',
      what: `The oldest message of ${topic} has waited for ${span(oldestMs)}.`,
      remedy: 'See who has claimed it. Where every relay is busy, start another one.',
      command: commandLine(['list', '--limit', '10'], { '--topic': topic }),
    }))
  return [...silent, ...pauses, ...lags]
}

function ofTables(sample: OutboxSample, unownedLong: boolean): Problem[] {
  const { leases, dead, blockedKeys, oldestTransactionMs, exactlyOnce } = sample
  const orphans = leases.expired + leases.free
  const refused = Object.values(dead.byReason).reduce((sum, n) => sum + n, 0)
  const found: (Problem | false)[] = [
    orphans > 0 && {
      runbook: 'OutboxNoRelay',
      what: `${counted(orphans, 'bucket')} of 64 ${orphans === 1 ? 'belongs' : 'belong'} to no relay.`,
      remedy: 'The relays that live take them within a lease time. If there is none, start one.',
      command: commandLine(['relay']),
      passing: !unownedLong,
    },
    (exactlyOnce?.oldestMs ?? 0) > lagMs && {
      runbook: 'OutboxLag',
      what: `A recorded batch has waited for ${span(exactlyOnce!.oldestMs!)} for its outcome; later messages of its partition wait.`,
      remedy: 'See batches_adopted, batch_in_doubt and topic_paused in the log of the relays. If no relay lives, start one.',
      command: commandLine(['status']),
    },
    refused > 0 && {
      runbook: 'OutboxDeadLetter',
      what: `Kafka refused ${dead.exact ? '' : 'at least '}${counted(refused, 'message')} for good.`,
      remedy: 'Remove the cause, then bring them back with redrive, or drop them with discard.',
      command: commandLine(['list', '--dead']),
    },
    blockedKeys > 0 && {
      runbook: 'OutboxBlockedKeys',
      what: `${counted(blockedKeys, 'key')} ${blockedKeys === 1 ? 'is' : 'are'} blocked by a dead message.`,
      remedy: 'Redrive or discard the dead message. Keys that need not wait: --on-dead-letter skip.',
    },
    (oldestTransactionMs ?? 0) > transactionMs && {
      runbook: 'OutboxXminHeld',
      what: `A transaction has kept VACUUM from dead rows for ${span(oldestTransactionMs!)}.`,
      remedy: 'End it in the program that opened it; the runbook has the query that finds it.',
    },
  ]
  return found.filter((one) => one !== false)
}
