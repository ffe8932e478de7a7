import type { Output } from '../../src/cli/screen.ts'

/** A terminal without a screen: it does what is written to it, as far as a program that draws in place needs one. */
export class Terminal implements Output {
  readonly isTTY = true
  columns: number
  rows: number
  /** All lines, those that scrolled away included. */
  lines: string[] = ['']
  /** Lines that scrolled away. */
  scrolled = 0
  /** Writes so far: each is a picture. */
  writes = 0
  #row = 0
  #column = 0
  readonly #lookers = new Set<() => void>()

  constructor({ columns = 80, rows = 24 } = {}) {
    this.columns = columns
    this.rows = rows
  }

  get text(): string {
    return this.lines.join('\n')
  }

  write(text: string): true {
    for (const [, parameter, command, character] of text.matchAll(/\p{Cc}\[([\d;?]*)([A-Za-z])|([\s\S])/gu)) {
      if (command !== undefined) this.#obey(command, parameter!)
      else this.#put(character!)
    }
    this.writes++
    for (const look of this.#lookers) look()
    return true
  }

  /** Resolves with the text, now or after a later write, that fits. */
  until(fits: (text: string) => boolean): Promise<string> {
    return new Promise((resolve) => {
      const look = () => {
        if (!fits(this.text)) return
        this.#lookers.delete(look)
        resolve(this.text)
      }
      this.#lookers.add(look)
      look()
    })
  }

  #obey(command: string, parameter: string): void {
    const line = () => this.lines[this.#row]!
    if (command === 'A') this.#row = Math.max(this.scrolled, this.#row - Number(parameter))
    else if (command === 'K') this.lines[this.#row] = line().slice(0, this.#column)
    else if (command === 'J' && parameter === '2') this.lines = [...this.lines.slice(0, this.scrolled), '']
    else if (command === 'J') this.lines = [...this.lines.slice(0, this.#row), line().slice(0, this.#column)]
    else if (command === 'H') [this.#row, this.#column] = [this.scrolled, 0]
    else throw new Error(`This terminal does not know ${JSON.stringify(`${parameter}${command}`)}.`)
  }

  #put(character: string): void {
    if (character === '\r') this.#column = 0
    else if (character === '\n') this.#lineEnd()
    else {
      if (this.#column === this.columns) this.#lineEnd()
      const line = this.lines[this.#row]!.padEnd(this.#column)
      this.lines[this.#row] = line.slice(0, this.#column) + character + line.slice(this.#column + 1)
      this.#column++
    }
  }

  #lineEnd(): void {
    this.#row++
    this.#column = 0
    if (this.#row === this.lines.length) this.lines.push('')
    this.scrolled = Math.max(this.scrolled, this.#row - this.rows + 1)
  }
}
