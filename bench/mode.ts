import type { Servers } from '../test/support/servers.ts'
import type { Figure, Measured } from './figures.ts'
import type { BenchOptions } from './options.ts'
import type { Run } from './result.ts'

/** Servers and options of a benchmark. */
export interface Bench {
  servers: Pick<Servers, 'databaseUrl' | 'brokers'>
  options: BenchOptions
}

/** A mode of the benchmark: contenders that are measured in turn, in each of its cases. */
export type Mode<Case extends { name: string } = { name: string }> = MeasuringMode<Case> | LivingMode<Case>

interface Comparing<Case> {
  cases(options: BenchOptions): readonly Case[]
  contenders: readonly string[]
  /**
   * Pairs of contenders whose figure, and one `beside` it, are divided within each run, so that whatever else the machine did then met
   * both.
   */
  ratios: { figure: Figure; beside?: Figure; pairs: readonly (readonly [contender: string, floor: string])[] }
}

/** A mode in which each run of a contender starts from nothing. */
export interface MeasuringMode<Case> extends Comparing<Case> {
  /** One run of one contender. */
  measure(bench: Bench, contender: string, of: Case): Promise<Measured>
}

/** A mode whose contenders live on from one run to the next. */
export interface LivingMode<Case> extends Comparing<Case> {
  /** All runs of all contenders, in the order of the mode's own. */
  runs(bench: Bench, of: Case): AsyncIterable<Run>
}
