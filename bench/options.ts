import { parseArgs } from 'node:util'
import { type TransportName, transportNames } from '../src/embed.ts'
import { rivals } from './rivals.ts'

/** What a benchmark is told. */
export interface BenchOptions {
  mode: string
  /** Print one JSON object instead of tables. */
  json: boolean
  /** How often each contender is measured. */
  runs: number
  /** Messages of a run; undefined: what the mode takes on its own. */
  messages: number | undefined
  /** Seconds of a run in modes that measure for a time; undefined: what the mode takes on its own. */
  seconds: number | undefined
  /** Transactions a second, in the mode that measures latency; undefined: both that it takes on its own. */
  rate: number | undefined
  transport: TransportName
  /** Flags of the relay, without their dashes: it is measured with them beside itself without them. */
  with: readonly string[]
  /** Relays of others that are measured too. */
  rivals: readonly string[]
}

export const usage = (modes: readonly string[]): string => `Usage: npm run bench -- ${modes.join('|')} [options]

  --json               one JSON object instead of tables
  --runs <n>           how often each contender is measured, in turn (default: 5)
  --messages <n>       messages of a run (default: as the mode says)
  --seconds <n>        seconds of a run, in modes that measure for a time (default: as the mode says)
  --rate <n>           transactions a second, in the mode latency (default: 200, then 1,000)
  --transport <name>   Kafka client: ${transportNames.join(' or ')} (default: kafkajs)
  --with <flag=value>  the relay with this flag of its own beside the relay without it, and nothing else; may come several times
  --rival <name>       a relay of others beside it: ${rivals.join(' or ')}; RIVALS names the folder in which its packages are installed`

/**
 * Reads the arguments of `npm run bench`.
 *
 * @throws Error with the usage, for anything that it does not know.
 */
export function benchOptions(args: readonly string[], modes: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      runs: { type: 'string', default: '5' },
      messages: { type: 'string' },
      seconds: { type: 'string' },
      rate: { type: 'string' },
      transport: { type: 'string', default: 'kafkajs' },
      with: { type: 'string', multiple: true, default: [] },
      rival: { type: 'string', multiple: true, default: [] },
    },
  })
  const [mode = ''] = positionals
  const transport = transportNames.find((name) => name === values.transport)
  const isKnown = transport && values.rival.every((name) => rivals.includes(name))
  if (positionals.length !== 1 || !modes.includes(mode) || !isKnown) throw new Error(usage(modes))
  const count = (text: string) => {
    if (!/^[1-9]\d*$/.test(text)) throw new Error(usage(modes))
    return Number(text)
  }
  return {
    mode,
    json: values.json,
    runs: count(values.runs),
    messages: values.messages === undefined ? undefined : count(values.messages),
    seconds: values.seconds === undefined ? undefined : count(values.seconds),
    rate: values.rate === undefined ? undefined : count(values.rate),
    transport,
    with: values.with,
    rivals: values.rival,
  }
}
