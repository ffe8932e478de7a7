/** What cannot be seen, or tells a terminal what to do: controls, marks of direction, letters without width. Not line ends and tabs. */
const hidden = /(?![\n\t])[\p{C}\p{DI}\u2028\u2029]/gu

/**
 * A text with invisible characters, except line ends and tabs, written out as `\u{202e}`. A topic or header must not turn the line
 * around it, look like another one, or command a terminal.
 */
export const visible = (text: string): string =>
  text.replace(hidden, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)

/** JSON in which the same is escaped, as JSON does it: JSON itself escapes the first 32 characters only, and a terminal obeys others. */
export const visibleJson = (json: string): string =>
  json.replace(hidden, (character) =>
    // By UTF-16 units: that is what JSON has escapes for.
    Array.from({ length: character.length }, (_, n) => `\\u${character.charCodeAt(n).toString(16).padStart(4, '0')}`).join(''),
  )

/** A text of one line: a line end in a name must not begin another line, which would say what the name likes. */
export const inOneLine = (text: string): string => visible(text).replace(/\s/g, ' ')
