import { arch, cpus, platform, totalmem } from 'node:os'
import { type Figure, figures, type Measured, type Spread, spread, spreadText } from './figures.ts'
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
  cases: {
    name: string
    contenders: Record<string, Partial<Record<Figure, Spread>>>
    /** Of the mode's figure, paired within each run: `relay/naive`. */
    ratios: Record<string, Spread>
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
    const ratios = mode.ratios.pairs.map(([contender, floor]) => {
      const floors = values(floor, mode.ratios.figure)
      return [`${contender}/${floor}`, spread(values(contender, mode.ratios.figure).map((value, run) => value / floors[run]!))]
    })
    return { name, contenders: Object.fromEntries(contenders), ratios: Object.fromEntries(ratios) }
  })
}

/** The result for people: Markdown tables, so that they can go into a document as they are. */
export function tablesOf({ mode, at, machine, options, cases }: Result, { figure: compared }: Mode['ratios']): string {
  const { cpu, cores, memoryGiB, node, postgres } = machine
  const lines = [
    `${mode}, ${options.runs} runs, ${options.transport}, ${at.slice(0, 16)}Z`,
    `${cores} cores of ${cpu}, ${memoryGiB} GiB, Node ${node.slice(1)}, PostgreSQL ${postgres}`,
  ]
  for (const { name, contenders, ratios } of cases) {
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
    if (Object.keys(ratios).length > 0) lines.push('', `Ratios of ${figures[compared].title}, of each run:`)
    for (const [pair, ratio] of Object.entries(ratios)) lines.push(`- ${pair} ${spreadText(ratio, 3)}`)
  }
  return lines.join('\n')
}

function table([head, ...rows]: string[][]): string[] {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`
  return [line(head!), line(head!.map((_, column) => (column === 0 ? '---' : '---:'))), ...rows.map(line)]
}
