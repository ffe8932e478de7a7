import { Command } from 'commander'
import { OperatorOnDemand } from '../ops/dashboard/on-demand.ts'
import { postgresOperator } from '../store/postgres/operator.ts'
import { databaseConfig, type Flags, serversOf } from './config.ts'
import { problemLines } from './format.ts'
import { prismaHelp } from './help.ts'
import { untilUnread, withOperator } from './operator.ts'
import { print, printJson } from './print.ts'
import { addDatabaseFlags } from './settings.ts'
import { statusText } from './status-text.ts'
import { type Ask, statusWithProblems, watch, watchAsJson } from './watch.ts'

/** The command `status`. */
export function statusCommand(): Command {
  const command = new Command('status')
    .description('Show what waits, who relays it, what is dead, and problems with their remedies')
    .option('--json', 'As JSON: spans in milliseconds')
    .option('--watch', 'Refresh every second, with rate and problems, until interrupted')
  addDatabaseFlags(command).action(status)
  return prismaHelp(command, [
    ['Once', ''],
    ['For a script: the age of the oldest waiting message, in milliseconds', '--json | jq .backlog.oldestMs'],
    ['Kept up to date in the terminal', '--watch'],
  ])
}

async function status(flags: Flags): Promise<void> {
  if (flags.watch === true) return watched(flags)
  await withOperator(flags, async (operator) => {
    const status = await statusWithProblems(operator, serversOf(flags, process.env))
    if (flags.json === true) return printJson(status)
    const { problems } = status
    print([statusText(status), ...(problems.length > 0 ? ['', ...problemLines(problems, 80)] : [])].join('\n'))
  })
}

/** Never ends on its own: the viewer ends it. */
async function watched(flags: Flags): Promise<void> {
  untilUnread()
  const operator = new OperatorOnDemand(() => postgresOperator(databaseConfig(flags, process.env)))
  const ask: Ask = (what) => operator.ask(what)
  const servers = serversOf(flags, process.env)
  const never = new AbortController().signal
  try {
    if (flags.json === true) await watchAsJson(ask, process.stdout, process.stderr, never, servers)
    else await watch(ask, process.stdout, never, servers)
  } finally {
    operator.close()
  }
}
