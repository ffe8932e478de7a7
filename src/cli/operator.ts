import type { Operator } from '../store/operator.ts'
import { postgresOperator } from '../store/postgres/operator.ts'
import { databaseConfig, type Flags } from './config.ts'
import { exitCodes } from './exit-codes.ts'

/** Runs `use` with an operator's view of the database that the flags name, and closes it. */
export async function withOperator<T>(flags: Flags, use: (operator: Operator) => Promise<T>): Promise<T> {
  // `list | head`: whoever reads has seen enough.
  process.stdout.on('error', () => process.exit(exitCodes.done))
  const operator = await postgresOperator(databaseConfig(flags, process.env))
  try {
    return await use(operator)
  } finally {
    operator.close()
  }
}

/** Writes a line to standard output. */
export const print = (text: string): void => void process.stdout.write(`${text}\n`)
