import { inOneLine, visible } from '../ops/format.ts'
import { troubleLines } from '../ops/trouble.ts'

export { counted, keyText, span } from '../ops/format.ts'

/** Rows of text under headings, each column as wide as it must be; trailing blanks are cut. Names come from the database: each is one line. */
export function table(headings: readonly string[], cells: readonly (readonly string[])[]): string {
  const rows = cells.map((row) => row.map(inOneLine))
  const widths = headings.map((heading, column) => Math.max(heading.length, ...rows.map((row) => row[column]!.length)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd()
  return [headings, ...rows].map(line).join('\n')
}

/** Problems with their remedies, in lines of so many columns at most; a command stands in one line, to be copied. */
export const problemLines = (all: Parameters<typeof troubleLines>[0], columns: number): string[] =>
  troubleLines(all).flatMap((line) => (line.startsWith('  $ ') ? [line] : wrapped(line, columns)))

/** A line broken between words, the rest below its text. A word that is too long stays whole. */
function wrapped(line: string, columns: number): string[] {
  const lines = [line.slice(0, 2)]
  for (const word of line.slice(2).split(' ')) {
    const last = lines.at(-1)!
    if (last.length > 2 && last.length + 1 + word.length > columns) lines.push(`  ${word}`)
    else lines[lines.length - 1] = last.length > 2 ? `${last} ${word}` : last + word
  }
  return lines
}

/** A name, and what is to be said of it; undefined: nothing. */
export type Field = [name: string, value: string | undefined]

/** A line for each field; further lines of a value stand below its first, so that none looks like a field. */
export const fields = (all: readonly Field[]): string =>
  all
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name.padEnd(12)}${visible(value).replaceAll('\n', indented)}`]))
    .join('\n')

const indented = `\n${' '.repeat(12)}`
