import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = new URL('../../', import.meta.url)

/** A string that a database reads. */
const sql = /\b(?:SELECT|INSERT|UPDATE|DELETE|THEN|WHERE|FROM|AS|EXISTS|LIMIT)\b|\)::/

/** A stretch of text that people read, and where it begins. */
export interface Prose {
  file: string
  line: number
  text: string
}

/** What people read in a file: prose of a page, comments and strings of a program, comments of everything else. No SQL. */
export function proseOf(file: string): Prose[] {
  const text = readFileSync(fileURLToPath(new URL(file, root)), 'utf8')
  if (file.endsWith('.md')) return pageProse(file, text)
  if (/\.(ts|mjs|js)$/.test(file)) return programProse(file, text)
  return commentLines(file, text)
}

/** Paragraphs, items of lists and cells of tables; no code. */
function pageProse(file: string, text: string): Prose[] {
  const blank = (code: string) => code.replace(/[^\n]/g, '')
  const lines = text.replace(/^ *```[\s\S]*?^ *```$/gm, blank).split('\n')
  const found: Prose[] = []
  let open: Prose | undefined
  for (const [index, line] of lines.entries()) {
    const cells = /^\s*\|(.*)\|\s*$/.exec(line)
    if (cells) for (const cell of cells[1]!.split('|')) found.push({ file, line: index + 1, text: cell })
    if (cells || line.trim() === '' || line.startsWith('#')) {
      if (line.startsWith('#')) found.push({ file, line: index + 1, text: line })
      open = undefined
    } else if (open && !/^\s*([-*]|\d+\.)\s/.test(line)) open.text += ` ${line}`
    else {
      open = { file, line: index + 1, text: line }
      found.push(open)
    }
  }
  return found
}

/** Comments, neighboring lines of `//` together, and in `src` each string with a space in it. */
function programProse(file: string, text: string): Prose[] {
  const source = ts.createSourceFile(
    file,
    text,
    ts.ScriptTarget.ES2023,
    true,
    file.endsWith('.ts') ? ts.ScriptKind.TS : ts.ScriptKind.JS,
  )
  const lineAt = (at: number) => source.getLineAndCharacterOfPosition(at).line + 1
  const comments = new Map<number, Prose & { end: number }>()
  const add = (ranges: ts.CommentRange[] | undefined) => {
    let last: (Prose & { end: number }) | undefined
    for (const { pos, end, kind } of ranges ?? []) {
      const body = text.slice(pos, end).replace(/^\/\*+|\*+\/$|^\s*\* ?|^\/\/ ?/gm, '')
      const paragraphs = body.split(/\n\s*\n|\n(?=\s*(?:@|- ))/)
      if (kind === ts.SyntaxKind.SingleLineCommentTrivia && last && lineAt(pos) === last.end + 1) {
        last.text += ` ${body}`
        last.end = lineAt(end)
        continue
      }
      let line = lineAt(pos)
      for (const [n, paragraph] of paragraphs.entries()) {
        last = { file, line, text: paragraph.replace(/\s+/g, ' '), end: lineAt(end) }
        comments.set(pos + n / 100, last)
        line += paragraph.split('\n').length
      }
    }
  }
  const strings: Prose[] = []
  const visit = (node: ts.Node): void => {
    add(ts.getLeadingCommentRanges(text, node.getFullStart()))
    add(ts.getTrailingCommentRanges(text, node.getEnd()))
    const isText = ts.isStringLiteralLike(node) || ts.isTemplateHead(node) || ts.isTemplateMiddleOrTemplateTail(node)
    if (isText && file.startsWith('src/') && node.text.includes(' ') && !sql.test(node.text)) {
      strings.push({ file, line: lineAt(node.getStart()), text: node.text })
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return [...comments.values(), ...strings]
}

/** Comments of SQL, Prisma, YAML and shell: each block of lines. */
function commentLines(file: string, text: string): Prose[] {
  const found: Prose[] = []
  let open: Prose | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const body = /^\s*(?:\/{2,3}|--|#) ?(.*)$/.exec(line)?.[1]
    if (body === undefined || body.trim() === '') open = undefined
    else if (open) open.text += ` ${body}`
    else {
      open = { file, line: index + 1, text: body }
      found.push(open)
    }
  }
  return found
}
