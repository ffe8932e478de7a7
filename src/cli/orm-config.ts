import { blank, withoutComments } from './prisma-project.ts'

// The text of a prisma.config.ts of Prisma 8: the options of its ORM, and the same text with our extension. It is read as text and not run,
// because it may need a database URL, and because an edit must leave the rest of the file as its author wrote it. Used by init and doctor.

/** The entry of this package that has the extension. */
export const extensionEntry = 'prisma-extension-outbox/prisma8'

/** What a prisma.config.ts says. */
export interface OrmConfig {
  /** The options of the ORM as they are written. Undefined: there is no single object literal with all of them. */
  options: ReadonlyMap<string, string> | undefined
  /** Whether the extension is among them. Undefined: the text does not say. */
  declares: boolean | undefined
}

/** Reads the options of the ORM. */
export function ormConfig(text: string): OrmConfig {
  const call = ormCall(text)
  const options = call && new Map(call.options.map(({ name, value }) => [name, value]))
  if (!call) return { options, declares: undefined }
  const { extensions } = call
  if (!extensions) return { options, declares: false }
  const names = importedNames(text)
  const items = extensions.items?.map(({ start, end }) => withoutComments(text).slice(start, end).trim())
  if (items?.some((item) => names.includes(item))) return { options, declares: true }
  const isOther = (item: string) => !/^\.\.\.|outbox/i.test(item)
  return { options, declares: items?.every(isOther) ? false : undefined }
}

/** The text with the extension. Undefined: only the author of the file can say where it belongs. */
export function withExtension(text: string): string | undefined {
  const call = ormCall(text)
  if (!call) return undefined
  const [imported] = importedNames(text)
  // A variable of that name is something else.
  if (imported === undefined && /\boutbox\b/.test(codeOf(text))) return undefined
  const name = imported ?? 'outbox'
  const { extensions } = call
  if (extensions && !extensions.items) return undefined
  const added = extensions
    ? insertFirst(text, extensions.open, name, extensions.items!)
    : insertFirst(text, call.open, `extensions: [${name}]`, call.options)
  const result = imported === undefined ? insertImport(added) : added
  return ormConfig(result).declares ? result : undefined
}

interface Range {
  start: number
  end: number
}

interface OrmCall {
  /** Where the object literal begins. */
  open: number
  options: (Range & { name: string; value: string })[]
  /** The option of that name; without items its value is no array literal. */
  extensions: { open: number; items: Range[] | undefined } | undefined
}

/** The import of what makes the ORM's configuration: its names, and the quotes of the file. */
const configImport = /^import\s*\{([^}]*)\}\s*from\s*(["'])@prisma\/orm-postgres\/config\2/m

/** The one call that makes the ORM's configuration from an object literal. */
function ormCall(text: string): OrmCall | undefined {
  const [bare, code] = [withoutComments(text), codeOf(text)]
  const imported = /\bdefineConfig\b(?:\s+as\s+(\w+))?/.exec(configImport.exec(bare)?.[1] ?? '')
  if (!imported) return undefined
  const calls = [...code.matchAll(new RegExp(`(?<![\\w.$])${imported[1] ?? 'defineConfig'}\\s*\\(\\s*\\{`, 'g'))]
  if (calls.length !== 1) return undefined
  const open = calls[0]!.index + calls[0]![0].length - 1
  const options = itemsIn(code, open)?.map(({ start, end }) => {
    const [key, , quoted, plain] = /^\s*(?:(["'])(.*?)\1|([\w$]+))\s*:/.exec(bare.slice(start, end)) ?? []
    if (key === undefined) return undefined
    return { start, end, name: quoted ?? plain!, value: bare.slice(start + key.length, end).trim() }
  })
  // A spread or a shorthand: an option may come from anywhere.
  if (!options?.every((option) => option !== undefined)) return undefined
  return { open, options, extensions: extensionsOf(bare, code, options) }
}

function extensionsOf(bare: string, code: string, options: OrmCall['options']): OrmCall['extensions'] {
  const option = options.findLast(({ name }) => name === 'extensions')
  if (!option) return undefined
  const open = bare.indexOf(option.value, bare.indexOf(':', option.start))
  const literal = /^\[[\s\S]*\]$/.test(option.value)
  return { open, items: literal ? itemsIn(code, open) : undefined }
}

/** What stands between the commas of an object or array literal; nothing where a bracket has no end. */
function itemsIn(code: string, open: number): Range[] | undefined {
  const items: Range[] = []
  let [depth, start] = [0, open + 1]
  const item = (end: number) => {
    if (code.slice(start, end).trim() !== '') items.push({ start, end })
    start = end + 1
  }
  for (let at = open; at < code.length; at++) {
    const character = code[at]!
    if ('([{'.includes(character)) depth++
    if (')]}'.includes(character) && --depth === 0) {
      item(at)
      return items
    }
    if (character === ',' && depth === 1) item(at)
  }
  return undefined
}

/** Names that the file has imported our extension by. */
function importedNames(text: string): string[] {
  const imports = withoutComments(text).matchAll(/^import\s*\{([^}]*)\}\s*from\s*(["'])([^"'\n]*)\2/gm)
  return [...imports].flatMap(([, names, , from]) => {
    const own = from === extensionEntry ? /(?:^|[\s,])outbox(?:\s+as\s+(\w+))?\s*(?:,|$)/.exec(names!) : undefined
    return own ? [own[1] ?? 'outbox'] : []
  })
}

/** Comments and the insides of strings as blanks: what is left is code, each character in its place. */
const codeOf = (text: string): string =>
  withoutComments(text).replace(
    /(["'])((?:\\.|(?!\1)[^\\\n])*)\1|`((?:\\.|[^`\\])*)`/g,
    (all) => all[0] + blank(all.slice(1, -1)) + all[0],
  )

/** Puts an item at the beginning of a literal, on a line of its own if the others have theirs. */
function insertFirst(text: string, open: number, item: string, others: readonly Range[]): string {
  const [before, after] = [text.slice(0, open + 1), text.slice(open + 1)]
  const firstLine = /^[ \t]*(?:\/\/[^\r\n]*)?\r?\n(?=([ \t]*)[^\s\]}])/.exec(after)
  if (firstLine) return `${before}${firstLine[0]}${firstLine[1]}${item},${lineEnd(text)}${after.slice(firstLine[0].length)}`
  const comma = others.length > 0 ? ',' : ''
  return text[open] === '[' ? `${before}${item}${comma && ', '}${after}` : `${before} ${item}${comma || ' '}${after}`
}

/** Puts our import after that of the ORM's configuration, with its quotes and semicolon. */
function insertImport(text: string): string {
  const found = configImport.exec(withoutComments(text))!
  const end = found.index + found[0].length
  const line = text.slice(end).search(/\r?\n|$/) + end
  const [quote, semicolon] = [found[2], text[end] === ';' ? ';' : '']
  const statement = `import { outbox } from ${quote}${extensionEntry}${quote}${semicolon}`
  return `${text.slice(0, line)}${lineEnd(text)}${statement}${text.slice(line)}`
}

const lineEnd = (text: string): string => (text.includes('\r\n') ? '\r\n' : '\n')
