import { areRight, type EffectsVerdict } from './effects.ts'
import { isKept, type Verdict } from './judge.ts'
import type { Scene } from './scene.ts'
import { count, dim, green, red, table } from './screen.ts'

/** A line of a report: what, how many, and a remark. */
type Row = [what: string, figure: string, remark?: string]

/** Prints what the topic says about the orders; gives whether the promise was kept. */
export function reportTopic(verdict: Verdict, { disturbed, customers }: Scene): boolean {
  const { placed, records, missing, phantom, doubled, copies } = verdict
  print([
    ['orders in the table', count(placed)],
    ['orders refused', count(customers.refused)],
    ['records in the topic', count(records)],
    ['placed, not in the topic', count(missing.length), flag(missing)],
    ['in the topic, never placed', count(phantom.length), flag(phantom)],
    ['copies', count(copies), copies > 0 && disturbed ? dim('something was killed') : flag(doubled)],
  ])
  const good = `Every placed order is in the topic ${copies === 0 ? 'exactly once' : 'at least once'}, and no other.`
  return conclude(isKept(verdict, disturbed), good, 'The topic does not say what the orders table says.')
}

/** Prints what the consumers have made of the orders; gives whether it is right. */
export function reportEffects(verdict: EffectsVerdict): boolean {
  const { effects, revenue } = verdict
  print([
    ...effects.flatMap(({ what, count: n, missing, surplus }): Row[] => [
      [what, count(n)],
      ...(missing.length > 0 ? [[`${what}: missing`, count(missing.length), flag(missing)] satisfies Row] : []),
      ...(surplus.length > 0 ? [[`${what}: too many`, count(surplus.length), flag(surplus)] satisfies Row] : []),
    ]),
    ['revenue, by the orders table', euros(revenue.ordered)],
    ['revenue, by the analytics', euros(revenue.told), revenue.told === revenue.ordered ? '' : red('not the same')],
  ])
  const good = 'Every placed order was confirmed, shipped and listed once, and the analytics know what it cost.'
  return conclude(areRight(verdict), good, 'The consumers have not done what the orders table says.')
}

function print(rows: Row[]): void {
  const lines = table(rows.map(([what, figure]) => [what, figure]))
  console.log(`\n${lines.map((text, at) => `${text}   ${rows[at]![2] ?? ''}`.trimEnd()).join('\n')}\n`)
}

function conclude(kept: boolean, good: string, bad: string): boolean {
  console.log(kept ? green(`  ${good}`) : red(`  ${bad}`))
  return kept
}

/** The first orders of a list that should be empty. */
function flag(ids: readonly number[]): string {
  return ids.length === 0 ? '' : red(`orders ${ids.slice(0, 8).join(', ')}${ids.length > 8 ? ' …' : ''}`)
}

const euros = (cents: number) => `${(cents / 100).toFixed(2)} €`
