import ts from 'typescript'
import { pageOf } from '../support/readme.ts'

/** A member of an interface, or a property of an object, with its doc comment. */
export interface Documented {
  name: string
  /** The comment up to its first tag, in one line. */
  text: string
  /** Texts of its tags by name. */
  tags: Readonly<Record<string, string>>
  /** The type as it is written, or the value of a property; in one line. */
  type: string
}

/** What an interface or an object of that name declares in a file below `src`, in its order. */
export function declared(file: string, name: string): Documented[] {
  const source = ts.createSourceFile(file, pageOf(`src/${file}`), ts.ScriptTarget.ES2023, true)
  for (const node of source.statements) {
    if (ts.isInterfaceDeclaration(node) && node.name.text === name) return node.members.map(documented)
    if (!ts.isVariableStatement(node)) continue
    const { name: variable, initializer } = node.declarationList.declarations[0]!
    if (variable.getText() !== name || !initializer) continue
    const object = ts.isAsExpression(initializer) ? initializer.expression : initializer
    if (ts.isObjectLiteralExpression(object)) return object.properties.map(documented)
  }
  throw new Error(`src/${file} declares no ${name}.`)
}

function documented(node: ts.TypeElement | ts.ObjectLiteralElementLike): Documented {
  const doc = ts.getJSDocCommentsAndTags(node).find(ts.isJSDoc)
  const name = node.name ?? (ts.isIndexSignatureDeclaration(node) ? node.parameters[0]!.type! : node)
  const value = ts.isPropertyAssignment(node) ? node.initializer : (node as ts.PropertySignature).type
  return {
    name: name.getText().replace(/^['`]|['`]$/g, ''),
    text: inOneLine(ts.getTextOfJSDocComment(doc?.comment)),
    tags: Object.fromEntries((doc?.tags ?? []).map((tag) => [tag.tagName.text, inOneLine(textOf(tag))])),
    type: inOneLine(value?.getText()),
  }
}

/** TypeScript takes the first word after `@see` for a name. */
const textOf = (tag: ts.JSDocTag): string =>
  ts.isJSDocSeeTag(tag) ? tag.getText().replace(/^@see|\*\s*$/g, '') : (ts.getTextOfJSDocComment(tag.comment) ?? '')

const inOneLine = (text: string | undefined): string => (text ?? '').replace(/\s+/g, ' ').trim()
