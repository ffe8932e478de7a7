import { inOneLine, jsonText, visible } from '../ops/format.ts'

// What the commands write, in one place: names come from tables and topics, and must neither command a terminal nor pass for another line.

/** Writes text to standard output; `text` may have lines, the names in it have none (inOneLine). */
export const print = (text: string): void => void process.stdout.write(`${visible(text)}\n`)

/** Writes a value to standard output as one line of JSON. */
export const printJson = (value: unknown): void => void process.stdout.write(`${jsonText(value)}\n`)

/** Writes a line to standard error. */
export const printError = (line: string): void => void process.stderr.write(`${inOneLine(line)}\n`)
