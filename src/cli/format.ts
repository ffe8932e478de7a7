/** A time span for people: two units at most. */
export function span(ms: number): string {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  const units: [string, number][] = [
    ['d', 86_400],
    ['h', 3_600],
    ['min', 60],
    ['s', 1],
  ]
  const first = units.findIndex(([, size]) => seconds >= size)
  const [name, size] = units[first]!
  const rest = units[first + 1]
  const more = rest ? Math.floor((seconds % size) / rest[1]) : 0
  return `${Math.floor(seconds / size)} ${name}${rest && more > 0 ? ` ${more} ${rest[0]}` : ''}`
}

/** A number with its noun: `1 message`, `2 messages`. */
export const counted = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`

/** A key for people: its text where it is text, else its bytes; cut to a column's width. */
export function keyText(key: Uint8Array | null, width = 24): string {
  if (key === null) return '-'
  const text = Buffer.from(key).toString('utf8')
  const shown =
    Buffer.from(text).equals(Buffer.from(key)) && !/\p{C}/u.test(text) ? text : `0x${Buffer.from(key).toString('hex')}`
  return shown.length > width ? `${shown.slice(0, width - 1)}…` : shown
}

/** Rows of text under headings, each column as wide as it must be; trailing blanks are cut. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, column) => Math.max(heading.length, ...rows.map((row) => row[column]!.length)))
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd()
  return [headings, ...rows].map(line).join('\n')
}
