import { inOneLine } from '../ops/format.ts'

/** What is drawn on: standard output, as far as it is used. */
export interface Output {
  write(text: string): unknown
  isTTY?: boolean | undefined
  columns?: number | undefined
  rows?: number | undefined
}

/** Lines of a terminal that are redrawn in their place, below what it shows already: nothing scrolls, and the last ones stay. */
export class Screen {
  readonly #out: Output
  /** Lines that stand above the cursor. */
  #drawn = 0
  #size = ''

  constructor(out: Output) {
    this.#out = out
  }

  /** Draws the lines, cut to the terminal: one that wraps, or does not fit, would move all that is above it. */
  draw(lines: readonly string[]): void {
    const { columns = 80, rows = 24 } = this.#out
    const most = Math.max(1, rows - 1)
    const shown = lines.length > most ? [...lines.slice(0, most - 1), `… ${lines.length - most + 1} lines more`] : lines
    const text = shown.map((line) => `${fitted(line, columns - 1)}\u001b[K\n`).join('')
    // One write: a terminal that shows half of it would flicker.
    this.#out.write(`${this.#back(`${columns}x${rows}`)}${text}\u001b[J`)
    this.#drawn = shown.length
  }

  /** Goes to the first line; of another size the terminal has broken the lines again, and nobody knows where they are. */
  #back(size: string): string {
    const resized = this.#size !== '' && this.#size !== size
    this.#size = size
    if (resized) return '\u001b[2J\u001b[H'
    return this.#drawn === 0 ? '' : `\u001b[${this.#drawn}A\r`
  }
}

/** Letters that take two columns, as terminals have them: those of East Asia, and pictures. */
const wide = /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{3fffd}]/u

/** The beginning of a line that a terminal shows in so many columns; what cannot be seen is written out. */
export function fitted(line: string, columns: number): string {
  let [text, left] = ['', columns]
  for (const character of inOneLine(line)) {
    left -= wide.test(character) ? 2 : 1
    if (left < 0) return text
    text += character
  }
  return text
}
