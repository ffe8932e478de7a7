import { arch, cpus, platform, totalmem } from 'node:os'
import { certaintyText, type Figure, figures, type Measured, type Spread, spread, spreadText } from './figures.ts'
import type { Mode } from './mode.ts'
import type { BenchOptions } from './options.ts'

/** One contender in one run of one case. */
export interface Run {
  run: number
  case: string
  contender: string
  figures: Measured
}

/** What `npm run bench` prints with `--json`. */
export interface Result {
  mode: string
  /** ISO 8601, when the first run began. */
  at: string
  machine: { cpu: string; cores: number; memoryGiB: number; system: string; node: string; postgres: string }
  options: BenchOptions
  /** Packages of the rivals, with versions. */
  rivals: readonly string[]
  cases: {
    name: string
    contenders: Record<string, Partial<Record<Figure, Spread>>>
    /** Of the mode's figure, paired within each run: `relay/naive`. */
    ratios: Record<string, Spread>
    /** The same of the figure beside it, in modes that have one. */
    beside?: Record<string, Spread>
  }[]
  runs: Run[]
}

export function machine(postgres: string): Result['machine'] {
  const [cpu] = cpus()
  return {
    cpu: cpu?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${arch()}`,
    node: process.version,
    postgres,
  }
}

/** Medians, spreads and ratios of all runs. */
export function casesOf(mode: Mode, names: readonly string[], runs: readonly Run[]): Result['cases'] {
  return names.map((name) => {
    const ofCase = runs.filter((run) => run.case === name)
    const values = (contender: string, figure: Figure) =>
      ofCase.flatMap((run) => (run.contender === contender && run.figures[figure] !== undefined ? [run.figures[figure]] : []))
    const contenders = mode.contenders.map((contender) => {
      const spreads = Object.keys(figures).flatMap((figure) => {
        const found = values(contender, figure as Figure)
        return found.length > 0 ? [[figure, spread(found)]] : []
      })
      return [contender, Object.fromEntries(spreads)]
    })
    const ratiosOf = (figure: Figure) =>
      Object.fromEntries(
        mode.ratios.pairs.map(([contender, floor]) => {
          const floors = values(floor, figure)
          return [`${contender}/${floor}`, spread(values(contender, figure).map((value, run) => value / floors[run]!))]
        }),
      )
    const { figure, beside } = mode.ratios
    const ratios = ratiosOf(figure)
    return { name, contenders: Object.fromEntries(contenders), ratios, ...(beside && { beside: ratiosOf(beside) }) }
  })
}

/** The result for people: Markdown tables, so that they can go into a document as they are. */
export function tablesOf(
  { mode, at, machine, options, rivals, cases }: Result,
  { figure: compared, beside: other }: Mode['ratios'],
): string {
  const { cpu, cores, memoryGiB, node, postgres } = machine
  const lines = [
    `${mode}, ${options.runs} runs, ${options.transport}, ${at.slice(0, 16)}Z`,
    `${cores} cores of ${cpu}, ${memoryGiB} GiB, Node ${node.slice(1)}, PostgreSQL ${postgres}`,
    ...(rivals.length > 0 ? [`beside ${rivals.join(', ')}`] : []),
  ]
  for (const { name, contenders, ratios, beside } of cases) {
    const shown = (Object.keys(figures) as Figure[]).filter((figure) => Object.values(contenders).some((of) => of[figure]))
    const rows = Object.entries(contenders).map(([contender, of]) => [
      contender,
      ...shown.map((figure) => (of[figure] ? spreadText(of[figure], figures[figure].digits) : '')),
    ])
    lines.push(
      '',
      `${name}: median (least to most)`,
      '',
      ...table([['', ...shown.map((figure) => figures[figure].title)], ...rows]),
    )
    lines.push(...ratioLines(compared, ratios, options.runs))
    if (beside) lines.push(...ratioLines(other!, beside, options.runs))
  }
  return lines.join('\n')
}

/** Runs that say more than their ends do. */
const manyRuns = 10

function ratioLines(figure: Figure, ratios: Record<string, Spread>, runs: number): string[] {
  if (Object.keys(ratios).length === 0) return []
  const lines = Object.entries(ratios).map(([pair, ratio]) => {
    const more = runs < manyRuns ? '' : `; ${certaintyText(ratio, 3)}`
    return `- ${pair} ${spreadText(ratio, 3)}${more}`
  })
  return ['', `Ratios of ${figures[figure].title}, of each run:`, ...lines]
}

function table([head, ...rows]: string[][]): string[] {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`
  return [line(head!), line(head!.map((_, column) => (column === 0 ? '---' : '---:'))), ...rows.map(line)]
}
