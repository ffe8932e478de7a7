import { parseArgs } from 'node:util'
import { z } from 'zod'

/** What `npm run demo` was asked for. */
export interface DemoOptions {
  /** Ends on its own after this time; undefined: at the key q. */
  seconds: number | undefined
  /** Orders a second; with `naive`, of each way. */
  rate: number
  /** Compare with the ways of the articles instead of showing the shop. */
  naive: boolean
  /** Kill the relay every few seconds. */
  chaos: boolean
  /** Seed of the moments at which something is killed. */
  seed: number
}

export const usage = `
The shop at work: orders are placed, announced through the outbox, confirmed, and shipped; with pages to look at.

Usage

  $ npm run demo -- [options]

Options

  --seconds <n>   End on its own after n seconds, and compare orders and topic. Default: run until the key q; 30 with --naive
     --rate <n>   Orders a second; with --naive of each way. Default: 50
        --chaos   Kill the relay with SIGKILL every few seconds; copies of a message are then no error
        --naive   Three ways that articles show, beside this package, under the same kills
     --seed <n>   Seed of the moments of the kills. Default: 1

Database and Kafka are started for the demo; DATABASE_URL and KAFKA_BROKERS name servers that run already.
`

const number = (least: number, most: number) => z.coerce.number().min(least).max(most)

const schema = z.object({
  seconds: number(1, 86_400).optional(),
  rate: number(1, 1_000).default(50),
  naive: z.boolean().default(false),
  chaos: z.boolean().default(false),
  seed: number(0, 4_294_967_295).default(1),
})

/**
 * Reads the command line.
 *
 * @throws Error with one sentence that names the option at fault.
 */
export function readOptions(args: string[]): DemoOptions | 'help' {
  const { values } = parseArgs({
    args,
    options: {
      seconds: { type: 'string' },
      rate: { type: 'string' },
      naive: { type: 'boolean' },
      chaos: { type: 'boolean' },
      seed: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) return 'help'
  const parsed = schema.safeParse(values)
  if (parsed.success) return { ...parsed.data, seconds: parsed.data.seconds ?? (parsed.data.naive ? 30 : undefined) }
  const [issue] = parsed.error.issues
  throw new Error(`The option --${issue!.path.join('.')} is wrong: ${issue!.message}.`)
}
