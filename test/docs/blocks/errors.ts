import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { pageOf } from '../../support/readme.ts'
import { declared } from '../doc-comments.ts'
import { code, table } from '../markdown.ts'

/** Who meets the errors that a folder of `src` makes. */
const metBy: Record<string, readonly string[]> = {
  message: ['application'],
  events: ['application', 'consumer'],
  prisma: ['application', 'consumer'],
  enqueue: ['application'],
  store: ['relay', 'command'],
  transport: ['relay', 'command'],
  relay: ['relay'],
  'embed.ts': ['relay'],
  ops: ['relay'],
  inbox: ['consumer'],
  cli: ['command'],
  proof: ['command'],
  'schema-compat': ['command'],
  testing: ['test'],
}

/** Every code of `src/message/errors.ts`, with its anchor. */
export function errorTable(): string {
  const places = placesOfCodes()
  const rows = declared('message/errors.ts', 'errorCodes').map(({ name, text, tags, type }) => {
    const parts = [...new Set([...(places.get(name) ?? [])].flatMap((folder) => metBy[folder] ?? []))]
    if (!text || !tags.remedy || parts.length === 0)
      throw new Error(`${name} lacks a meaning, a remedy or a place that throws it.`)
    const more = tags.see
      ? ` See [${tags.see
          .replace(/\.md.*/, '')
          .replace(/.*\//, '')
          .replaceAll('-', ' ')}](../${tags.see}).`
      : ''
    return [`<a id=${type.replaceAll("'", '"')}></a>${code(`OUTBOX_${name}`)}`, text, `${tags.remedy}${more}`, parts.join(', ')]
  })
  return table(['code', 'meaning', 'remedy', 'thrown in'], rows)
}

/** Folders below `src`, or files in it, that name a code as a string. */
function placesOfCodes(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>()
  const root = fileURLToPath(new URL('../../../src', import.meta.url))
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  for (const file of files) {
    const source = ts.createSourceFile(file, pageOf(`src/${file}`), ts.ScriptTarget.ES2023, true)
    const visit = (node: ts.Node): void => {
      if (ts.isStringLiteral(node) && !ts.isLiteralTypeNode(node.parent)) {
        found.set(node.text, (found.get(node.text) ?? new Set()).add(file.split('/')[0]!))
      }
      ts.forEachChild(node, visit)
    }
    visit(source)
  }
  return found
}
