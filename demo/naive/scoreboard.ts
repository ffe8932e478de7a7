import { bold, count, dim, green, red, table } from '../screen.ts'
import { type Score, ways } from './contestant.ts'

/** Time as people say it: 12 ms, 3.4 s. */
const time = (ms: number): string => (ms < 1_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`)

/** A figure that should be 0. */
const fault = (n: number): string => (n === 0 ? green('0') : red(count(n)))

/** The table of all ways. */
export function scoreboard(scores: readonly Score[]): string[] {
  const row = (name: string, cell: (score: Score) => string): string[] => [name, ...scores.map(cell)]
  const [head, second, ...rest] = table([
    ['', ...ways.map((way) => bold(way.title[0]))],
    ['', ...ways.map((way) => bold(way.title[1]))],
    row('orders placed', ({ placed }) => count(placed)),
    row('records in the topic', ({ records }) => count(records)),
    row('waiting in the table', ({ waiting }) => dim(count(waiting))),
    row('lost', ({ lost }) => fault(lost)),
    row('phantom', ({ phantom }) => fault(phantom)),
    row('out of order', ({ outOfOrder }) => fault(outOfOrder)),
    row('copies', ({ copies }) => count(copies)),
    row('typical delay', ({ delays }) => dim(time(delays.median))),
    row('longest delay', ({ delays }) => dim(time(delays.longest))),
  ])
  return [head!, second!, '', ...rest]
}

/** The same in one line, for logs: what should be 0. */
export function scoreLine(scores: readonly Score[]): string {
  const parts = scores.map(({ placed, lost, phantom, outOfOrder, copies }, at) => {
    return `${ways[at]!.file}: placed ${count(placed)} lost ${lost} phantom ${phantom} disordered ${outOfOrder} copies ${copies}`
  })
  return parts.join(' | ')
}

/** What the words of the table mean. */
export const legend = [
  'lost          an order was placed, and the topic does not know it',
  'phantom       the topic announces an order that was never placed',
  'out of order  a customer’s later order was announced before an earlier one',
  'copies        announced again; here each copy has the id of the first, so that a consumer can tell',
].map((text) => dim(`  ${text}`))
