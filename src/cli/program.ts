import { Command } from 'commander'
import { version } from '../version.ts'
import { programHelp } from './help.ts'
import { printError } from './print.ts'
import { openPasswords } from './usage-errors.ts'

/** In the order of the help. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  init: async () => (await import('./init.ts')).initCommand(),
  relay: async () => (await import('./relay.ts')).relayCommand(),
  status: async () => (await import('./status.ts')).statusCommand(),
  list: async () => (await import('./list.ts')).listCommand(),
  show: async () => (await import('./show.ts')).showCommand(),
  where: async () => (await import('./where.ts')).whereCommand(),
  doctor: async () => (await import('./doctor.ts')).doctorCommand(),
  redrive: async () => (await import('./request.ts')).redriveCommand(),
  discard: async () => (await import('./request.ts')).discardCommand(),
  inbox: async () => (await import('./inbox.ts')).inboxCommand(),
  prove: async () => (await import('./prove.ts')).proveCommand(),
  schema: async () => (await import('./schema.ts')).schemaCommand(),
  healthcheck: async () => (await import('./healthcheck.ts')).healthcheckCommand(),
}

/**
 * The program `prisma-extension-outbox`. It loads the command that is named, alone: a probe of a container runs every few seconds. Without a
 * name, or with one that is no command, it has all of them, for the help and for what was meant.
 */
export async function program(named = ''): Promise<Command> {
  const program = new Command('prisma-extension-outbox')
    .description('Transactional outbox for Prisma: messages stored with your rows, relayed to Kafka in order, never lost')
    .version(version, '-v, --version')
  const loaded = Object.hasOwn(commands, named) ? [commands[named]!] : Object.values(commands)
  for (const command of await Promise.all(loaded.map((load) => load()))) program.addCommand(command)
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
