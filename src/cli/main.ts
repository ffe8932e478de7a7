#!/usr/bin/env node
// `npx prisma-extension-outbox <command>`: reads .env, runs the program, and reports the error that ends it.

import { CommanderError } from 'commander'
import { isOutboxError, OutboxError, type OutboxErrorCode } from '../message/errors.ts'
import { createLogger } from '../ops/log.ts'
import { exitCodes } from './exit-codes.ts'
import { printError } from './print.ts'
import { program } from './program.ts'
import { usageError } from './usage-errors.ts'

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
    await (await program(args[0])).parseAsync(args, { from: 'user' })
    return Number(process.exitCode ?? exitCodes.done)
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done
    const log = args[0] === 'relay' && !process.stdout.isTTY && process.env.LOG_LEVEL !== 'silent'
    return report(error instanceof CommanderError ? usageError(error) : error, log)
  }
}

/** Writes the error that ends the program to standard error, as JSON if the log is JSON; returns the exit code. */
function report(error: unknown, json: boolean): number {
  const logger = createLogger('fatal', false, process.stderr)
  if (isOutboxError(error)) {
    const { code, field, remedy, message } = error
    if (json) logger.fatal({ event: 'refused', code, field, remedy }, message)
    else printError(`! ${message}`)
    return mayPass.has(code) ? exitCodes.failed : exitCodes.refused
  }
  const stack = String((error as Error).stack ?? error)
  if (json) logger.fatal({ event: 'crashed', error: stack }, 'crashed')
  else for (const [n, line] of stack.split('\n').entries()) printError(n === 0 ? `! Unexpected: ${line}` : `  ${line}`)
  return exitCodes.failed
}

process.exit(await main(process.argv.slice(2)))
