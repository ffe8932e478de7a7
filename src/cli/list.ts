import { Command } from 'commander'
import type { Flags } from './config.ts'
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
    .option('--limit <n>', 'At most so many (default: 50)', count)
    .option('--json', 'As JSON, keys in base64')
  addFilterFlags(addDatabaseFlags(command)).action((flags: Flags) =>
    withOperator(flags, async (operator) => {
      const dead = flags.dead === true || flags.reason !== undefined
      const messages = await operator.list({ ...selectionOf(flags), dead, limit: (flags.limit as number | undefined) ?? 50 })
      if (flags.json === true) printJson(messages.map(messageJson))
      else print(messages.length === 0 ? 'No messages.' : messagesText(messages))
    }),
  )
  return prismaHelp(command, [
    ['What waits for a topic', '--topic order_placed'],
    ['What is dead, and why', '--dead'],
  ])
}
