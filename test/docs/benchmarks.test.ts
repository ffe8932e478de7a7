import { expect, test } from 'vitest'
import { pageOf } from '../support/readme.ts'

/** A ratio of the page, with what has to be divided for it. */
interface Shown {
  name: string
  ratio: string
  of: number
  by: number
}

const page = pageOf('docs/benchmarks.md')
const cells = (line: string) =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
const tables = page
  .split(/\n\n/)
  .filter((block) => block.startsWith('|'))
  .map((block) => block.split('\n').map(cells))

/** The median of a cell: what stands before its spread. */
const median = (cell: string) => Number(/^[\d,.]+/.exec(cell)?.[0].replaceAll(',', ''))

/** Ratios of a column: "to it" of the relay, which is the first row or the first figure, to the row; else of the row to the one without a ratio. */
function ratiosIn([head, , ...rows]: string[][]): Shown[] {
  return head!.flatMap((title, column) => {
    if (!/^ratio|relay's rate to it|^to no relay/.test(title)) return []
    return rows
      .filter((row) => /^\d/.test(row[column]!))
      .map((row) => {
        const shown = { name: `${row.slice(0, 2).join(' ')}: ${title}`, ratio: row[column]! }
        const before = (one: string[]) => median(one[column - 1]!)
        if (title === 'ratio') return { ...shown, of: median(row[column - 2]!), by: before(row) }
        if (/to it$/.test(title) && head![1] === 'relay, messages/s') return { ...shown, of: median(row[1]!), by: before(row) }
        if (/to it$/.test(title)) return { ...shown, of: before(rows[0]!), by: before(row) }
        return { ...shown, of: before(row), by: before(rows.find((one) => one[column] === '–')!) }
      })
  })
}

test('every ratio of docs/benchmarks.md can be recomputed from the medians of its table', () => {
  const shown = tables.flatMap(ratiosIn)
  expect(shown).toHaveLength(42)
  // Half a unit of the last digit.
  const wrong = shown.filter(({ ratio, of, by }) => {
    const digits = ratio.split('.')[1]?.length ?? 0
    return !(Math.abs(of / by - Number(ratio)) <= 0.51 * 10 ** -digits)
  })
  expect(wrong).toEqual([])
})

test('every table of docs/benchmarks.md has its command and its date', () => {
  const blocks = page.split(/\n\n/)
  const bare = blocks.filter(
    (block, i) => block.startsWith('|') && !(/`npm|`npx/.test(blocks[i - 1]!) && /2026-\d\d-\d\d/.test(blocks[i - 1]!)),
  )
  expect(bare).toEqual([])
})
