import { inOneLine } from '../ops/format.ts'
import { stateOf } from '../ops/trouble.ts'
import type { OutboxStatus, RecordedBatches } from '../store/operator.ts'
import { span, table } from './format.ts'

/** The status as text, within 80 columns. */
export function statusText({ backlog, leases, relays, dead, exactlyOnce }: OutboxStatus): string {
  const waiting = `${backlog.exact ? '' : 'about '}${backlog.messages} ${backlog.messages === 1 ? 'message' : 'messages'}`
  const oldest = backlog.oldestMs === null ? '' : `, the oldest for ${span(backlog.oldestMs)}`
  const reasons = Object.entries(dead.byReason).map(([reason, n]) => `${n} ${inOneLine(reason)}`)
  const behind = dead.blocked === 0 ? '' : `; ${dead.blocked} wait behind them`
  const more = dead.exact ? '' : '; and more'
  const lines = [
    `Waiting   ${waiting}${oldest}`,
    `Leases    ${leases.held} held, ${leases.expired} expired, ${leases.free} free`,
    ...(exactlyOnce ? [`Mode      exactly once, ${recorded(exactlyOnce)}`] : []),
    `Dead      ${reasons.join(', ') || 'none'}${behind}${more}`,
  ]
  if (relays.length === 0) return [...lines, 'Relays    none is running'].join('\n')
  const rows = relays.map((relay) => [
    relay.name,
    stateOf(relay),
    String(relay.buckets),
    span(relay.seenMsAgo),
    relay.ackedMsAgo === null ? '-' : span(relay.ackedMsAgo),
    relay.version,
  ])
  return [...lines, '', table(['Relay', 'State', 'Buckets', 'Seen', 'Acknowledged', 'Version'], rows)].join('\n')
}

const recorded = ({ waiting, oldestMs }: RecordedBatches): string =>
  oldestMs === null
    ? 'no batch in flight'
    : `${waiting} ${waiting === 1 ? 'batch' : 'batches'} in flight, the oldest for ${span(oldestMs)}`
