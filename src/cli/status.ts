import { Command } from 'commander'
import type { OutboxStatus } from '../store/operator.ts'
import type { Flags } from './config.ts'
import { span, table } from './format.ts'
import { prismaHelp } from './help.ts'
import { print, withOperator } from './operator.ts'
import { addDatabaseFlags } from './settings.ts'

/** The command `status`. */
export function statusCommand(): Command {
  const command = new Command('status')
    .description('Show what waits, who relays it, and what is dead')
    .option('--json', 'As JSON, for scripts')
    .option('--watch', 'Draw it anew every second, until interrupted')
  addDatabaseFlags(command).action((flags: Flags) =>
    withOperator(flags, async (operator) => {
      const show = async () => {
        const status = await operator.status()
        print(flags.json === true ? JSON.stringify(status) : statusText(status))
      }
      await show()
      while (flags.watch === true) {
        await new Promise((resolve) => setTimeout(resolve, 1_000))
        if (process.stdout.isTTY) process.stdout.write('\u001b[2J\u001b[H')
        await show()
      }
    }),
  )
  return prismaHelp(command, [
    ['Once', ''],
    ['For a script: the age of the oldest waiting message, in milliseconds', '--json | jq .backlog.oldestMs'],
  ])
}

/** The status as text, within 80 columns. */
export function statusText({ backlog, leases, relays, dead }: OutboxStatus): string {
  const waiting = `${backlog.exact ? '' : 'about '}${backlog.messages} ${backlog.messages === 1 ? 'message' : 'messages'}`
  const oldest = backlog.oldestMs === null ? '' : `, the oldest for ${span(backlog.oldestMs)}`
  const reasons = Object.entries(dead.byReason).map(([reason, n]) => `${n} ${reason}`)
  const behind = dead.behind === 0 ? '' : `; ${dead.behind} wait behind them`
  const more = dead.exact ? '' : '; and more'
  const lines = [
    `Waiting   ${waiting}${oldest}`,
    `Leases    ${leases.held} held, ${leases.expired} expired, ${leases.free} free`,
    `Dead      ${reasons.join(', ') || 'none'}${behind}${more}`,
  ]
  if (relays.length === 0) return [...lines, 'Relays    none is running'].join('\n')
  const rows = relays.map((relay) => [
    relay.name,
    relay.alive ? 'alive' : 'gone',
    String(relay.buckets),
    span(relay.seenMsAgo),
    relay.ackedMsAgo === null ? '-' : span(relay.ackedMsAgo),
    relay.version,
  ])
  return [...lines, '', table(['Relay', 'State', 'Buckets', 'Seen', 'Acknowledged', 'Version'], rows)].join('\n')
}
