import { Command } from 'commander'
import { version } from '../version.ts'
import { doctorCommand } from './doctor.ts'
import { healthcheckCommand } from './healthcheck.ts'
import { programHelp } from './help.ts'
import { inboxCommand } from './inbox.ts'
import { initCommand } from './init.ts'
import { listCommand } from './list.ts'
import { printError } from './print.ts'
import { proveCommand } from './prove.ts'
import { relayCommand } from './relay.ts'
import { discardCommand, redriveCommand } from './request.ts'
import { schemaCommand } from './schema.ts'
import { showCommand } from './show.ts'
import { statusCommand } from './status.ts'
import { openPasswords } from './usage-errors.ts'
import { whereCommand } from './where.ts'

/** The program `prisma-extension-outbox`, with its commands in the order of the help. */
export function program(): Command {
  const program = new Command('prisma-extension-outbox')
    .description('Transactional outbox for Prisma: messages stored with your rows, relayed to Kafka in order, never lost')
    .version(version, '-v, --version')
  const commands = [
    initCommand(),
    relayCommand(),
    statusCommand(),
    listCommand(),
    showCommand(),
    whereCommand(),
    doctorCommand(),
    redriveCommand(),
    discardCommand(),
    inboxCommand(),
    proveCommand(),
    schemaCommand(),
    healthcheckCommand(),
  ]
  for (const command of commands) program.addCommand(command)
  for (const command of [program, ...program.commands]) {
    // A wrong command line is reported with all other errors.
    command.exitOverride().configureOutput({ outputError: () => {} })
    command.helpOption('-h, --help', 'Display this help message')
  }
  program.hook('preAction', (_, command) => {
    for (const line of openPasswords(command.opts())) printError(`! ${line}`)
  })
  return programHelp(program)
}
