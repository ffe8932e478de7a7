import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** A page of the repository as it is shipped. */
export const pageOf = (path: string): string => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')

/** The README. */
export const readme: string = pageOf('README.md')

/** Text of a page, the README by default, below a heading, up to the next heading of its level or above. */
export function section(heading: string, page: string = readme): string {
  const lines = page.split('\n')
  const start = lines.indexOf(heading)
  if (start < 0) throw new Error(`The page has no heading "${heading}".`)
  const level = heading.indexOf(' ')
  let fenced = false
  const end = lines.findIndex((line, i) => {
    if (line.startsWith('```')) fenced = !fenced
    return i > start && !fenced && /^#+ /.test(line) && line.indexOf(' ') <= level
  })
  return lines.slice(start + 1, end < 0 ? undefined : end).join('\n')
}

/** Cells of each table in the text, without its head. */
export const tables = (text: string): string[][][] => tablesWithHeads(text).map(([, ...rows]) => rows)

/** Cells, without the head, of the one table in the text whose first column has this name: others may come before it. */
export function tableOf(column: string, text: string): string[][] {
  const found = tablesWithHeads(text).filter(([head]) => head![0] === column)
  if (found.length !== 1) throw new Error(`${found.length} tables begin with the column "${column}", not one.`)
  return found[0]!.slice(1)
}

function tablesWithHeads(text: string): string[][][] {
  const blocks = text.split('\n').reduce<string[][]>(
    (found, line) => {
      if (line.startsWith('|')) found.at(-1)!.push(line)
      else if (found.at(-1)!.length > 0) found.push([])
      return found
    },
    [[]],
  )
  const cells = (line: string) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim())
  return blocks.filter((block) => block.length > 2).map(([head, , ...rows]) => [head!, ...rows].map(cells))
}

/** A fenced block of code. */
export interface CodeBlock {
  language: string
  code: string
  /** File that the block is, where its first line names one. */
  path: string | undefined
}

/** Every fenced block of the text. The contract of Prisma 8 has to begin with a line of its own. */
export function codeBlocks(text: string): CodeBlock[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language, code]) => ({
    language: language!,
    code: code!,
    path: /^(?:\/\/ use prisma-8\n)?(?:\/\/|#) (\S*\.(?:ts|prisma|env))\n/.exec(code!)?.[1],
  }))
}
