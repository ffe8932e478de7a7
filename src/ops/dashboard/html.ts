import { visible } from '../format.ts'

/** HTML that is safe to send: only {@link html} makes it. */
export class Html {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  toString(): string {
    return this.#text
  }
}

/** What may stand in {@link html}: text is escaped, and what is null, undefined or false leaves nothing. */
export type Part = Html | string | number | null | undefined | false | readonly Part[]

const named: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** A text as HTML, also within a quoted attribute; what cannot be seen is written out. */
export const escaped = (text: string): string => visible(text).replace(/[&<>"']/g, (character) => named[character]!)

/** HTML from a template; whatever is put into it is escaped, unless it is HTML already. */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  return new Html(String.raw({ raw: strings }, ...parts.map(written)))
}

function written(part: Part): string {
  if (part === null || part === undefined || part === false) return ''
  if (typeof part === 'object' && !(part instanceof Html)) return part.map(written).join('')
  return part instanceof Html ? String(part) : escaped(String(part))
}

/** Characters of a name that a page shows: names are whatever somebody gave them. */
export const nameLength = 100

/** The beginning of a text. */
export const cut = (text: string, length: number): string => (text.length > length ? `${text.slice(0, length - 1)}…` : text)
