import { OutboxError } from '../message/errors.ts'
import { fragment, type Naming } from './fragment.ts'
import type { SchemaFile } from './prisma-project.ts'

const openMark = '// >>> prisma-extension-outbox init'
const closeMark = '// <<< prisma-extension-outbox'

/** Whether the text holds the models of the outbox, between marks that `init` has set. */
export const hasBlock = (text: string): boolean => text.includes(openMark)

/** The names that an earlier `init` was given: they stand in the mark, so that a later run without options keeps them. */
export function namingInBlock(text: string): Naming {
  const mark = text.split(openMark)[1]?.split(/\r?\n/, 1)[0] ?? ''
  return {
    model: / --model (\S+)/.exec(mark)?.[1],
    inboxModel: / --inbox-model (\S+)/.exec(mark)?.[1],
    schema: / --schema (\S+)/.exec(mark)?.[1],
    tablePrefix: / --table-prefix (\S+)/.exec(mark)?.[1],
    inbox: / --inbox(?: |$)/.test(mark),
  }
}

/** The text without the block. */
export function outsideBlock(text: string): string {
  const [before, block] = text.split(openMark)
  return before! + (block?.split(closeMark)[1] ?? '')
}

/** The file's text with the models: in place of its block if it has one, else at its end. Keeps the line ends of the file. */
export function withBlock({ path, text }: SchemaFile, naming: Naming): string {
  const { model, inboxModel, schema, tablePrefix, inbox } = naming
  const flag = (name: string, value: string | undefined) => (value ? ` --${name} ${value}` : '')
  const place = `${flag('schema', schema)}${flag('table-prefix', tablePrefix)}`
  const options = `${flag('model', model)}${place}${inbox ? ' --inbox' : ''}${flag('inbox-model', inboxModel)}`
  const note = '// Kept up to date by this command: changes between the two marks are lost.'
  // The blank line before the mark is where "prisma format" puts one.
  const block = `${openMark}${options}\n${note}\n\n${fragment(naming)}\n${closeMark}`
  const unix = text.replaceAll('\r\n', '\n')
  const result = hasBlock(unix) ? replaced(unix, block, path) : `${unix && `${unix.trimEnd()}\n\n`}${block}\n`
  return text.includes('\r\n') ? result.replaceAll('\n', '\r\n') : result
}

function replaced(text: string, block: string, path: string): string {
  const start = text.indexOf(openMark)
  const end = text.indexOf(closeMark, start)
  if (end >= 0) return text.slice(0, start) + block + text.slice(end + closeMark.length)
  throw new OutboxError('PRISMA_PROJECT', `The models of the outbox in ${path} have no end mark.`, {
    remedy: `Put the line "${closeMark}" after the last of them, or delete them with the line "${openMark}".`,
  })
}
