import pg from 'pg'
import type { Bench, Mode } from './mode.ts'
import { backlogMode } from './modes/backlog.ts'
import { commitMode } from './modes/commit.ts'
import { compressionMode } from './modes/compression.ts'
import { drainMode, hotMode } from './modes/drain.ts'
import { enqueueMode } from './modes/enqueue.ts'
import { idleMode } from './modes/idle.ts'
import { latencyMode } from './modes/latency.ts'
import { partitionsMode } from './modes/partitions.ts'
import { scaleMode } from './modes/scale.ts'
import { tenMillionMode } from './modes/ten-million.ts'
import { watchingMode } from './modes/watching.ts'
import { xminMode } from './modes/xmin.ts'
import type { BenchOptions } from './options.ts'
import { casesOf, machine, type Result, type Run } from './result.ts'
import { rivalVersions } from './rivals.ts'

/** Every mode of `npm run bench`, by its name. */
export const modes: Record<string, Mode> = {
  drain: drainMode,
  hot: hotMode,
  latency: latencyMode,
  xmin: xminMode,
  idle: idleMode,
  backlog: backlogMode,
  scale: scaleMode,
  partitions: partitionsMode,
  enqueue: enqueueMode,
  commit: commitMode,
  compression: compressionMode,
  watching: watchingMode,
  'ten-million': tenMillionMode,
}

/**
 * The mode that is asked for: with relays of others beside the contenders; with settings of its own the relay is compared with itself, and
 * the floors are left out.
 */
export function modeOf({ mode: name, with: settings, rivals }: BenchOptions): Mode {
  const mode = modes[name]!
  if (rivals.length > 0 && settings.length > 0)
    throw new Error('--with compares the relay with itself alone: it takes no --rival.')
  if (rivals.length > 0) return besideRivals(name, mode, rivals)
  if (settings.length === 0) return mode
  if (!mode.contenders.includes('relay')) throw new Error(`The mode ${name} compares no single relay: it takes no --with.`)
  const other = ['relay', ...settings.map((setting) => `--${setting}`)].join(' ')
  return { ...mode, contenders: ['relay', other], ratios: { ...mode.ratios, pairs: [[other, 'relay']] } }
}

function besideRivals(name: string, mode: Mode, rivals: readonly string[]): Mode {
  if (!mode.contenders.includes('naive')) throw new Error(`The mode ${name} has no place for another relay: it takes no --rival.`)
  const pairs = [...mode.ratios.pairs, ...rivals.map((rival) => ['relay', rival] as const)]
  return { ...mode, contenders: [...mode.contenders, ...rivals], ratios: { ...mode.ratios, pairs } }
}

/** Measures every contender of the mode in every case, `runs` times in turn. `tell` hears of each. */
export async function run(bench: Bench, tell: (line: string) => void): Promise<Result> {
  const { options } = bench
  const mode = modeOf(options)
  const rivals = rivalVersions(options.rivals)
  const at = new Date().toISOString()
  const cases = mode.cases(options)
  const runs: Run[] = []
  for await (const one of runsOf(mode, bench, cases)) {
    runs.push(one)
    tell(`run ${one.run}, ${one.case}, ${one.contender}: ${JSON.stringify(one.figures)}`)
  }
  const names = cases.map(({ name }) => name)
  const postgres = await postgresVersion(bench)
  return { mode: options.mode, at, machine: machine(postgres), options, rivals, cases: casesOf(mode, names, runs), runs }
}

async function* runsOf(mode: Mode, bench: Bench, cases: readonly { name: string }[]): AsyncGenerator<Run> {
  if ('runs' in mode) {
    for (const of of cases) yield* mode.runs(bench, of)
    return
  }
  for (let index = 0; index < bench.options.runs; index++) {
    for (const of of cases) {
      for (const contender of inTurn(mode.contenders, index)) {
        yield { run: index + 1, case: of.name, contender, figures: await mode.measure(bench, contender, of) }
      }
    }
  }
}

/** Another one goes first in each run: a machine that gets slower or faster favours none. */
function inTurn(contenders: readonly string[], run: number): string[] {
  const first = run % contenders.length
  return [...contenders.slice(first), ...contenders.slice(0, first)]
}

async function postgresVersion({ servers }: Bench): Promise<string> {
  const client = new pg.Client({ connectionString: servers.databaseUrl })
  await client.connect()
  const { rows } = await client.query<{ server_version: string }>('SHOW server_version')
  await client.end()
  return rows[0]!.server_version
}
