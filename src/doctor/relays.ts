import { outboxName, type TableSet } from '../message/tables.ts'
import { counted, span } from '../ops/format.ts'
import { describeSilent, describeUnrelayed, stuckOf, type TroubleText, told } from '../ops/trouble.ts'
import type { OutboxStatus, RelayState } from '../store/operator.ts'
import type { CheckWith } from './checks.ts'
import { failure, ok, unseen, type Verdict, warning } from './verdict.ts'

/** Judges who relays, and what is dead. `leases`: the shortest lease time of the tables, and time for an answer of Kafka, in ms. */
export function judgeRelays(
  { backlog, leases, relays, dead }: OutboxStatus,
  times: { leaseMs: number | null; requestMs: number | null },
  servers: string,
): Verdict[] {
  const alive = relays.filter((relay) => relay.alive)
  const ownerless = leases.free + leases.expired
  const { leaseMs, requestMs } = times
  const refused = Object.entries(dead.byReason).map(([reason, n]) => `${n} ${reason}`)
  return [
    alive.length > 0
      ? ok('relays', `${counted(alive.length, 'relay')} alive.`)
      : (backlog.messages > 0 ? failure : warning)(
          'relays',
          `No relay is alive${backlog.oldestMs === null ? '' : `; the oldest message waits for ${span(backlog.oldestMs)}`}.`,
          'Nothing is published.',
          'Start one: npx prisma-extension-outbox relay',
        ),
    ...judgeTrouble(relays, servers),
    ownerless === 0 || alive.length === 0
      ? ok('buckets', alive.length === 0 ? 'No relay, so nobody holds them.' : 'Every bucket has an owner.')
      : warning(
          'buckets',
          `${counted(ownerless, 'bucket')} without owner.`,
          'Their messages wait. For some seconds after a start or an end that is as it should be.',
          'Run this again after two lease times; then see the log of the relays for database_trouble.',
        ),
    leaseMs === null || requestMs === null || requestMs < leaseMs
      ? ok('lease', 'Kafka has to answer well within a lease.')
      : warning(
          'lease',
          `A lease lasts ${span(leaseMs)}, and Kafka may take ${span(requestMs)} to answer.`,
          'No relay would send in the rest of a lease.',
          'Make OUTBOX_REQUEST_TIMEOUT_MS half of OUTBOX_LEASE_MS, or leave it out.',
        ),
    refused.length === 0
      ? ok('dead', 'No message is dead.')
      : warning(
          'dead',
          `Dead: ${refused.join(', ')}; ${dead.blocked} wait behind them.`,
          'They, and those behind them, are not published.',
          'npx prisma-extension-outbox list --dead; fix the cause, then redrive or discard.',
        ),
  ]
}

/** Judges the other outboxes of the database that have messages and no relay; null: they cannot be asked for. */
export function judgeOthers(others: readonly TableSet[] | null): Verdict {
  const check = 'other outboxes'
  const why = 'An application that writes there waits for its messages without end.'
  if (others === null) return unseen(check, 'They could not be found in time.', why, 'Run this again.')
  if (others.length === 0) return ok(check, 'No other outbox that this role may read has messages and no relay.')
  const commands = others.flatMap((one) => describeUnrelayed(one).command ?? [])
  const fix = `Start a relay for each, or correct the models of the application: ${commands.join('; ')}`
  return warning(check, `Messages and no relay: ${others.map(outboxName).join(', ')}.`, why, fix)
}

/** What the relays say that they cannot do: each trouble is a failure of its own. */
function judgeTrouble(relays: readonly RelayState[], servers: string): Verdict[] {
  const judged = (check: CheckWith<'failure'>, { what, remedy, command }: TroubleText, why: string) =>
    failure(check, what, why, command === undefined ? remedy : `${remedy} ${command}`)
  return [
    ...relays
      .filter(({ withoutKafka }) => withoutKafka)
      .map((relay) =>
        judged(
          `relay ${relay.name}`,
          describeSilent(relay),
          'It publishes nothing. If no relay reaches Kafka, all messages wait.',
        ),
      ),
    ...stuckOf(relays).map((one) =>
      judged(`stuck ${one.topic}`, told(one, servers), 'A relay reports it; the messages wait, others go on.'),
    ),
  ]
}
