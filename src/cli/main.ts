#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { isOutboxError, OutboxError, type OutboxErrorCode } from '../message/errors.ts'
import { version } from '../version.ts'
import { doctorCommand } from './doctor.ts'
import { exitCodes } from './exit-codes.ts'
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
import { openPasswords, withoutValues } from './usage-errors.ts'
import { whereCommand } from './where.ts'

/** The program: `npx prisma-extension-outbox <command>`. */
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
    command.exitOverride().configureOutput({ outputError: (text, write) => write(withoutValues(text)) })
    command.helpOption('-h, --help', 'Display this help message')
  }
  program.hook('preAction', (_, command) => {
    for (const line of openPasswords(command.opts())) printError(`! ${line}`)
  })
  return programHelp(program)
}

/** Errors that another try, or another moment, may not have. */
const mayPass: ReadonlySet<OutboxErrorCode> = new Set([
  'OUTBOX_NOT_FOUND',
  'OUTBOX_NO_ANSWER',
  'OUTBOX_DATABASE_UNREACHABLE',
  'OUTBOX_KAFKA_REFUSED',
])

/** Reads `.env` in the working directory, as Prisma's users expect. Variables of the environment win. */
function readDotEnv(): void {
  try {
    process.loadEnvFile()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    const remedy = 'Make the file readable, or give the variables in the environment.'
    throw new OutboxError('INVALID_OPTION', 'The file .env in the working directory cannot be read.', { remedy, cause: error })
  }
}

/** Runs a command line and returns the exit code. */
async function main(args: readonly string[]): Promise<number> {
  try {
    readDotEnv()
    await program().parseAsync(args, { from: 'user' })
    return Number(process.exitCode ?? exitCodes.done)
  } catch (error) {
    // Commander has printed what is wrong with the flags, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.refused
    if (isOutboxError(error)) {
      printError(`! ${error.message}`)
      return mayPass.has(error.code) ? exitCodes.failed : exitCodes.refused
    }
    const lines = String((error as Error).stack ?? error).split('\n')
    for (const [n, line] of lines.entries()) printError(n === 0 ? `! Unexpected: ${line}` : `  ${line}`)
    return exitCodes.failed
  }
}

process.exit(await main(process.argv.slice(2)))
