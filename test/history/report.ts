import type { Judgement, Verdict } from '../../src/proof/checks.ts'
import { sendsOf } from '../../src/proof/evidence.ts'
import type { History } from '../../src/proof/history.ts'

/** What was done to a run by one kind of fault, and how soon messages flowed again. */
export interface KindOfFault {
  kind: string
  injected: number
  /**
   * Milliseconds from the heal to the next acknowledged message of any relay: median and slowest; other faults may have been in force
   * then. Null without traces.
   */
  medianMs: number | null
  slowestMs: number | null
}

/** The faults by kind, with their recoveries. */
export function kindsOfFault({ faults, traces }: History): KindOfFault[] {
  const acks = (traces ?? [])
    .flatMap(sendsOf)
    .filter(({ outcome }) => outcome === 'acked')
    .map(({ endedAt }) => endedAt)
    .sort((a, b) => a - b)
  const byKind = new Map<string, number[]>()
  for (const { kind, healedAt } of faults) {
    const next = acks.find((at) => at >= healedAt)
    byKind.set(kind, [...(byKind.get(kind) ?? []), next === undefined ? Number.NaN : next - healedAt])
  }
  return [...byKind].sort().map(([kind, all]) => {
    const known = all.filter((ms) => !Number.isNaN(ms)).sort((a, b) => a - b)
    return { kind, injected: all.length, medianMs: known[known.length >> 1] ?? null, slowestMs: known.at(-1) ?? null }
  })
}

const most = { listed: 20 }
const mark = { passed: 'ok', violated: 'VIOLATED', 'not judged': 'not judged' } as const
const ms = (value: number | null): string => (value === null ? '-' : `${Math.round(value)} ms`)

/** The table for people: figures, checks, faults, and the first violations. */
export function reportOf(history: History, judgement: Judgement): string {
  const { figures, verdicts, violations } = judgement
  const kinds = kindsOfFault(history)
  const slowest = kinds.reduce<number | null>(
    (slow, { slowestMs }) => (slowestMs !== null && slowestMs > (slow ?? -1) ? slowestMs : slow),
    null,
  )
  return [
    ...table([
      ['transactions', `${figures.transactions}, ${figures.committed} acknowledged`],
      ['messages committed', `${figures.messages}`],
      ['records in Kafka', `${figures.records}`],
      ['faults', `${history.faults.length} of ${kinds.length} kinds`],
      ['lost', `${figures.lost}`],
      ['phantom', `${figures.phantom}`],
      ['inversions', `${figures.inversions}`],
      ['duplicates', `${figures.duplicates}, explained at most ${figures.duplicateBound ?? 'unknown'}`],
      ['slowest recovery', ms(slowest)],
    ]),
    '',
    ...table([['check', 'compared', 'verdict'], ...verdicts.map(lineOf)]),
    ...(kinds.length === 0
      ? []
      : ['', ...table([['fault', 'injected', 'recovery, median', 'slowest'], ...kinds.map(faultLine)])]),
    ...(violations.length === 0 ? [] : ['', `${violations.length} violations:`]),
    ...violations
      .slice(0, most.listed)
      .map(({ check, of, expected, found }) => `  ${check}: ${of}: expected ${expected}; found ${found}`),
    ...(violations.length > most.listed ? [`  … and ${violations.length - most.listed} more`] : []),
  ].join('\n')
}

const lineOf = ({ check, cases, state, violations, why }: Verdict): string[] => [
  check,
  `${cases}`,
  state === 'violated' ? `${mark[state]}, ${violations} times` : why === undefined ? mark[state] : `${mark[state]}: ${why}`,
]

const faultLine = ({ kind, injected, medianMs, slowestMs }: KindOfFault): string[] => [
  kind,
  `${injected}`,
  ms(medianMs),
  ms(slowestMs),
]

function table(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
}
