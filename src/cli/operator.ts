import type { Operator } from '../store/operator.ts'
import { postgresOperator } from '../store/postgres/operator.ts'
import { databaseConfig, type Flags } from './config.ts'
import { exitCodes } from './exit-codes.ts'

/** Runs `use` with an operator's view of the database that the flags name, and closes it. */
export async function withOperator<T>(flags: Flags, use: (operator: Operator) => Promise<T>): Promise<T> {
  untilUnread()
  const operator = await postgresOperator(databaseConfig(flags, process.env))
  try {
    return await use(operator)
  } finally {
    operator.close()
  }
}

/** Ends the program when its output cannot be written any more: of `list | head`, anyone who reads has seen enough. */
export const untilUnread = (): void => void process.stdout.on('error', () => process.exit(exitCodes.done))
