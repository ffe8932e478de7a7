/** `npx tsx bench/neutral/table.ts FILE …`: the result lines as Markdown tables, with median, least and most of the runs. */
import { readFileSync } from 'node:fs'

type Line = Record<string, unknown> & { adapter: string; variant: string; mode: string; ok: unknown }

const beside = new Set(['adapter', 'variant', 'mode', 'at', 'ok', 'n', 'keys', 'rounds', 'rate'])
const lines = process.argv
  .slice(2)
  .flatMap((file) => readFileSync(file, 'utf8').trim().split('\n'))
  .map((line) => JSON.parse(line) as Line)

const headOf = ({ mode, rate }: Line) => (mode === 'latency' ? `${mode} ${rate}/s` : mode)
const nameOf = ({ adapter, variant, n }: Line) => `${adapter}:${variant} | ${n}`

function groups(of: Line[], nameOf: (line: Line) => string): Map<string, Line[]> {
  const found = new Map<string, Line[]>()
  for (const line of of) found.set(nameOf(line), [...(found.get(nameOf(line)) ?? []), line])
  return found
}

/** Of numbers median, least and most; what is no number is shown as it is. */
function cell(values: unknown[]): string {
  const given = values.filter((value) => value !== undefined && value !== null)
  if (!given.every((value) => typeof value === 'number')) return given.map((value) => JSON.stringify(value)).join('; ')
  const sorted = given.toSorted((a, b) => a - b)
  if (sorted.length === 0) return '–'
  const median = sorted[sorted.length >> 1]
  return sorted[0] === sorted.at(-1) ? String(median) : `${median} (${sorted[0]} to ${sorted.at(-1)})`
}

for (const [head, ofMode] of groups(lines, headOf)) {
  const columns = [...new Set(ofMode.flatMap((line) => Object.keys(line)))].filter((column) => !beside.has(column))
  console.log(`\n### ${head}\n\n| relay | n | runs | ${columns.join(' | ')} | notes |\n|${'---|'.repeat(columns.length + 4)}`)
  for (const [name, runs] of groups(ofMode, nameOf)) {
    const notes = [...new Set(runs.map(({ ok }) => ok).filter((ok) => ok !== true))].join('; ')
    console.log(
      `| ${name} | ${runs.length} | ${columns.map((column) => cell(runs.map((line) => line[column]))).join(' | ')} | ${notes} |`,
    )
  }
}
