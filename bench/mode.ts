import type { Servers } from '../test/support/servers.ts'
import type { Figure, Measured } from './figures.ts'
import type { BenchOptions } from './options.ts'

/** Servers and options of a benchmark. */
export interface Bench {
  servers: Pick<Servers, 'databaseUrl' | 'brokers'>
  options: BenchOptions
}

/** A mode of the benchmark: contenders that are measured in turn, in each of its cases. */
export interface Mode<Case extends { name: string } = { name: string }> {
  cases(options: BenchOptions): readonly Case[]
  contenders: readonly string[]
  /** Pairs of contenders whose figure is divided within each run, so that whatever else the machine did met both. */
  ratios: { figure: Figure; pairs: readonly (readonly [contender: string, floor: string])[] }
  /** One run of one contender. */
  measure(bench: Bench, contender: string, of: Case): Promise<Measured>
}
