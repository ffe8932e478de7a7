// How long the sentences of a page are. Prose counts: paragraphs and items of lists. Code, tables, headings and lists of tests do not.

/** Words of each sentence of a page, the shortest first. A span of code is one word, a link's address none. */
export function sentenceLengths(page: string): number[] {
  return paragraphsOf(page)
    .flatMap(sentencesOf)
    .map(wordsIn)
    .filter((words) => words > 1)
    .sort((a, b) => a - b)
}

/** The sentences of a paragraph. */
export function sentencesOf(paragraph: string): string[] {
  const plain = paragraph.replace(/`[^`]*`/g, 'Code').replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
  return plain.split(/(?<=[.!?]["')*”]*)\s+(?=["'(*“]*[A-Z\d])/)
}

/** Words of a sentence: a sign alone is none. */
export const wordsIn = (sentence: string): number => sentence.split(/\s+/).filter((word) => /[A-Za-z\d]/.test(word)).length

/** Paragraphs and items of lists. */
function paragraphsOf(page: string): string[] {
  const found: string[] = []
  let open = false
  const lines = page
    .replace(/^---\n[\s\S]*?\n---\n/, '')
    .replace(/<!--[\s\S]*?-->/g, '')
    .replace(/^ *```[\s\S]*?^ *```$/gm, '')
    .split('\n')
  for (const line of lines) {
    const isProse = !/^\s*(?:$|\||#|!?\[!|!\[|<)/.test(line)
    const item = /^\s*(?:[-*]|\d+\.)\s+(.*)$/.exec(line)?.[1]
    if (isProse && open && item === undefined) found.push(`${found.pop()} ${line.trim()}`)
    else if (isProse) found.push(item ?? line.trim())
    open = isProse
  }
  return found.filter((text) => !/^(?:\[ci\]|\[command\]|Kept by:|Tests:)/.test(text))
}
