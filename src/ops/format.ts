import { visibleJson } from '../running/visible.ts'

export { inOneLine, visible, visibleJson } from '../running/visible.ts'

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

/** Made once: a formatter costs more than all numbers of a page. */
const whole = new Intl.NumberFormat('en-GB')

/** A number for people, its thousands apart: `1,234`, and small parts to a tenth: `0.5`. */
export const numberText = (n: number): string => (n < 100 && !Number.isInteger(n) ? n.toFixed(1) : whole.format(Math.round(n)))

/** A value as one line of JSON that can be shown at a terminal. */
export const jsonText = (value: unknown): string => visibleJson(JSON.stringify(value))

/** A key for people: its text where it is text, else its bytes; cut to a column's width. */
export function keyText(key: Uint8Array | null, width = 24): string {
  if (key === null) return '-'
  const text = Buffer.from(key).toString('utf8')
  const shown =
    Buffer.from(text).equals(Buffer.from(key)) && !/\p{C}/u.test(text) ? text : `0x${Buffer.from(key).toString('hex')}`
  return shown.length > width ? `${shown.slice(0, width - 1)}…` : shown
}

/** The bytes of a key as it is typed: text, or `0x…` for bytes. */
export const keyBytes = (text: string): Uint8Array =>
  /^0x([0-9a-f]{2})*$/i.test(text) ? Buffer.from(text.slice(2), 'hex') : Buffer.from(text)

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds of an age as it is typed: `90s`, `10m`, `2h`, `7d`. Undefined where it is none. */
export function ageMs(text: string): number | undefined {
  const [, n, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? []
  return n === undefined ? undefined : Number(n) * unitMs[unit as keyof typeof unitMs]
}

/** Whether a text is a message id. */
export const isMessageId = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)
