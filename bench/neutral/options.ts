import { parseArgs } from 'node:util'

/** What the command line asks for. */
export interface Options {
  adapter: string
  variant: string
  modes: string[]
  runs: number
  /** Messages of a run; `undefined`: the default of the mode. */
  n: number | undefined
  keys: number
  partitions: number
  /** Rows of one transaction of the preload; `undefined`: all in one. */
  tx: number | undefined
  rate: number
  seconds: number
  kills: number
  seed: number
  timeoutMs: number
  settings: Record<string, string>
  out: string | undefined
}

const flags = {
  adapter: { type: 'string', default: 'outbox' },
  mode: { type: 'string', default: 'drain' },
  runs: { type: 'string', default: '1' },
  n: { type: 'string' },
  keys: { type: 'string', default: '10000' },
  partitions: { type: 'string', default: '12' },
  tx: { type: 'string' },
  rate: { type: 'string', default: '200' },
  seconds: { type: 'string', default: '30' },
  kills: { type: 'string', default: '5' },
  seed: { type: 'string', default: '1' },
  timeout: { type: 'string', default: '200' },
  set: { type: 'string', multiple: true, default: [] as string[] },
  out: { type: 'string' },
} as const

/**
 * Reads the command line.
 *
 * @throws Error for a flag or a mode that does not exist, or a number that is none.
 */
export function optionsOf(args: string[], known: readonly string[]): Options {
  const { values } = parseArgs({ args, options: flags })
  const [adapter = '', variant = 'default'] = values.adapter.split(':')
  const modes = values.mode.split(',')
  const unknown = modes.find((mode) => !known.includes(mode))
  if (unknown !== undefined) throw new Error(`There is no mode "${unknown}", only ${known.join(', ')}.`)
  const many = (name: 'n' | 'tx') => (values[name] === undefined ? undefined : number(name, values[name]))
  return {
    adapter,
    variant,
    modes,
    runs: number('runs', values.runs),
    n: many('n'),
    keys: number('keys', values.keys),
    partitions: number('partitions', values.partitions),
    tx: many('tx'),
    rate: number('rate', values.rate),
    seconds: number('seconds', values.seconds),
    kills: number('kills', values.kills),
    seed: number('seed', values.seed),
    timeoutMs: number('timeout', values.timeout) * 1_000,
    settings: Object.fromEntries(values.set.map((setting) => setting.split('=', 2) as [string, string])),
    out: values.out,
  }
}

function number(name: string, text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0) throw new Error(`--${name} is a whole number, not "${text}".`)
  return value
}
