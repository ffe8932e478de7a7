/** What a torture is told. */
export interface TortureOptions {
  seed: number
  /** How long faults are injected, in milliseconds. */
  forMs: number
  /** Mean time between two faults, in milliseconds. */
  everyMs: number
  /** Kinds of faults, by name; undefined: all. */
  faults: readonly string[] | undefined
  /** Keep the history even where nothing is wrong. */
  keep: boolean
  /** Name of a mutant. */
  mutant: string | undefined
  /** File of a schedule to replay. */
  schedule: string | undefined
  /** Folder of a kept history: it is judged again, nothing is run. */
  judge: string | undefined
  isolation: 'read committed' | 'repeatable read' | 'serializable' | undefined
  timezone: string | undefined
  pgbouncer: boolean
  /** Relays with `--exactly-once`; the judge then allows no duplicate. */
  exactlyOnce: boolean
  transport: 'kafkajs' | 'platformatic'
  /** Major version of Prisma whose clients write. */
  prisma: 7 | 8
  brokers: 1 | 3
  relays: number
  /** Concurrent writers. */
  writers: number
  /** Keys of each topic whose messages are serialized. */
  keys: number
  leaseMs: number
  /** Milliseconds that the outbox may take to empty after the last heal. */
  emptyMs: number
  /** Range of the waits of late commits, in milliseconds. */
  lateMs: readonly [number, number]
}

/** What `npm run torture` does when nothing is said. */
export const tortureDefaults: TortureOptions = {
  seed: 1,
  forMs: 600_000,
  everyMs: 1_800,
  faults: undefined,
  keep: false,
  mutant: undefined,
  schedule: undefined,
  judge: undefined,
  isolation: undefined,
  timezone: undefined,
  pgbouncer: false,
  exactlyOnce: false,
  transport: 'kafkajs',
  prisma: 7,
  brokers: 3,
  relays: 3,
  writers: 24,
  keys: 60,
  leaseMs: 3_000,
  emptyMs: 180_000,
  lateMs: [1_000, 30_000],
}

/** A line for each flag of `npm run torture`. */
export const usage = `npm run torture -- [--seed S] [--minutes M] [--faults NAME,NAME] [--schedule FILE] [--keep] [--mutant NAME]
  [--isolation serializable] [--timezone Asia/Kolkata] [--pgbouncer] [--brokers 1|3] [--relays N] [--every MS]
  [--exactly-once] [--transport kafkajs|platformatic] [--prisma 7|8]
  or: npm run torture -- --judge FOLDER`

/** Reads the arguments of the command. Throws with the usage for what it does not know. */
export function tortureOptions(args: readonly string[], now: number): TortureOptions {
  const options: TortureOptions = { ...tortureDefaults, seed: 1 + (now % 1_000_000) }
  const left = [...args]
  const value = (): string => {
    const given = left.shift()
    if (given === undefined || given.startsWith('--')) throw new Error(usage)
    return given
  }
  const number = (): number => {
    const given = Number(value())
    if (!(given > 0)) throw new Error(usage)
    return given
  }
  const flags: Record<string, () => Partial<TortureOptions>> = {
    '--seed': () => ({ seed: Math.trunc(number()) }),
    '--minutes': () => ({ forMs: number() * 60_000 }),
    '--every': () => ({ everyMs: number() }),
    '--faults': () => ({ faults: value().split(',') }),
    '--schedule': () => ({ schedule: value() }),
    '--judge': () => ({ judge: value() }),
    '--keep': () => ({ keep: true }),
    '--mutant': () => ({ mutant: value() }),
    '--isolation': () => ({ isolation: value() as NonNullable<TortureOptions['isolation']> }),
    '--timezone': () => ({ timezone: value() }),
    '--pgbouncer': () => ({ pgbouncer: true }),
    '--exactly-once': () => ({ exactlyOnce: true }),
    '--transport': () => ({ transport: value() === 'platformatic' ? 'platformatic' : 'kafkajs' }),
    '--prisma': () => ({ prisma: number() === 8 ? 8 : 7 }),
    '--brokers': () => ({ brokers: number() === 1 ? 1 : 3 }),
    '--relays': () => ({ relays: Math.trunc(number()) }),
  }
  while (left.length > 0) {
    const flag = flags[left.shift()!]
    if (!flag) throw new Error(usage)
    Object.assign(options, flag())
  }
  return options
}
