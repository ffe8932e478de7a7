import { stripVTControlCharacters } from 'node:util'

/** Time between two lines where there is no terminal, in ms. */
const lineMs = 2_000

const paint = (code: number) => (text: string) => (process.stdout.isTTY ? `\x1b[${code}m${text}\x1b[0m` : text)
export const bold = paint(1)
export const dim = paint(2)
export const red = paint(31)
export const green = paint(32)
export const yellow = paint(33)

/** 12345 as 12,345. */
export const count = (n: number): string => n.toLocaleString('en')

/** Columns of equal width, numbers to the right; the first column to the left. */
export function table(rows: string[][]): string[] {
  const width = (text: string) => stripVTControlCharacters(text).length
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => width(row[column] ?? ''))))
  const pad = (text: string, column: number) => {
    const space = ' '.repeat(widths[column]! - width(text))
    return column === 0 ? text + space : space + text
  }
  return rows.map((row) => `  ${row.map(pad).join('   ')}`)
}

/** A live summary: redrawn in place on a terminal, else one line every two seconds. */
export class Screen {
  #drawn = 0
  #lastLine = Number.NEGATIVE_INFINITY

  /** @param line the same in one line, for logs */
  show(lines: string[], line: string): void {
    if (process.stdout.isTTY) {
      const up = this.#drawn > 0 ? `\x1b[${this.#drawn}A` : ''
      process.stdout.write(`${up}${lines.map((text) => `\x1b[2K${text}\n`).join('')}`)
      this.#drawn = lines.length
      return
    }
    if (performance.now() - this.#lastLine < lineMs) return
    this.#lastLine = performance.now()
    console.log(line)
  }
}
