import { Command } from 'commander'
import { describeFor, troubleLines } from '../ops/trouble.ts'
import { type Flags, serversOf } from './config.ts'
import { prismaHelp } from './help.ts'
import { withOperator } from './operator.ts'
import { print, printJson } from './print.ts'
import { addFilterFlags, count, messageJson, messagesText, selectionOf } from './selection.ts'
import { addDatabaseFlags } from './settings.ts'

/** The command `list`. */
export function listCommand(): Command {
  const command = new Command('list')
    .description('List messages that wait, or that are dead, oldest first; never their payloads')
    .option('--dead', 'Those that Kafka refused, and those that wait behind them')
    .option('--reason <code>', 'Only dead ones of this reason')
    .option('--limit <n>', 'At most N messages (default: 50)', count)
    .option('--json', 'As JSON: spans in milliseconds, keys in base64')
  addFilterFlags(addDatabaseFlags(command)).action((flags: Flags) =>
    withOperator(flags, async (operator) => {
      const dead = flags.dead === true || flags.reason !== undefined
      const messages = await operator.list({ ...selectionOf(flags), dead, limit: (flags.limit as number | undefined) ?? 50 })
      const relays = dead ? [] : await operator.relays()
      if (flags.json === true) printJson(messages.map((one) => messageJson(one, relays)))
      else if (messages.length === 0) print('No messages.')
      else
        print([messagesText(messages), ...troubleLines(describeFor(messages, relays, serversOf(flags, process.env)))].join('\n'))
    }),
  )
  return prismaHelp(command, [
    ['What waits for a topic', '--topic order_placed'],
    ['What is dead, and why', '--dead'],
  ])
}
