import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { beforeAll, describe, expect, test } from 'vitest'

// What an editor shows of `enqueue`, and what the compiler says to a wrong call.

const root = fileURLToPath(new URL('../../', import.meta.url))
const file = `${root}test/enqueue/hovered.ts`
const text = `
import { enqueue, enqueueMany, outbox, withOutbox } from '../../src/index.ts'
import { events } from '../events/catalog.ts'
import { PrismaClient } from './generated/client/client.ts'
declare const base: PrismaClient
const extended = base.$extends(outbox({ events }))
const wrapped = withOutbox(base, { events })
void extended.$transaction((tx) => tx.outbox./*extended*/enqueue({ type: 'StockCounted', payload: { sku: 'a', left: 1 } }))
void wrapped.$transaction((tx) => tx.outbox./*wrapped*/enqueue({ type: 'StockCounted', payload: { sku: 'a', left: 1 } }))
void wrapped.$transaction((tx) => tx.outbox./*many*/enqueueMany([{ type: 'StockCounted', payload: { sku: 'a', left: 1 } }]))
/*base*/void enqueue(base, { topic: 'a', payload: 1 })
/*outer extended*/void enqueue(extended, { topic: 'a', payload: 1 })
/*outer many*/void enqueueMany(wrapped, [{ topic: 'a', payload: 1 }])
`

let service: ts.LanguageService
beforeAll(() => {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root)
  const read = (name: string) => (name === file ? text : ts.sys.fileExists(name) ? readFileSync(name, 'utf8') : undefined)
  service = ts.createLanguageService({
    getScriptFileNames: () => [file],
    getScriptVersion: () => '1',
    getScriptSnapshot: (name) => {
      const found = read(name)
      return found === undefined ? undefined : ts.ScriptSnapshot.fromString(found)
    },
    getCurrentDirectory: () => root,
    getCompilationSettings: () => options,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    fileExists: (name) => name === file || ts.sys.fileExists(name),
    directoryExists: ts.sys.directoryExists,
    getDirectories: ts.sys.getDirectories,
    readDirectory: ts.sys.readDirectory,
    readFile: read,
  })
})

const hover = (mark: string) =>
  ts
    .displayPartsToString(service.getQuickInfoAtPosition(file, text.indexOf(`/*${mark}*/`) + mark.length + 4)?.displayParts)
    .replace(/\s+/g, ' ')

describe('the editor shows of an enqueue with a catalog', () => {
  test.each(['extended', 'wrapped'])('the message, %s', (mark) => {
    expect(hover(mark)).toBe(
      '(method) enqueue<"StockCounted">(message: { type: "StockCounted"; payload: { sku: string; left: number; }; } & EventExtras): Promise<string>',
    )
  })

  test('the messages, for several', () => {
    expect(hover('many')).toContain('{ type: "StockCounted"; payload: { sku: string; left: number; }; }')
    expect(hover('many')).not.toMatch(/Zod|EventType|Catalog/)
  })
})

test.each(['base', 'outer extended', 'outer many'])('the compiler says to the outer client what to pass: %s', (mark) => {
  const from = text.indexOf(`/*${mark}*/`)
  const to = text.indexOf('\n', from)
  const found = service.getSemanticDiagnostics(file).filter(({ start }) => start! >= from && start! < to)
  const said = found.map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
  expect(said).toEqual([expect.stringContaining('Pass the tx of prisma.$transaction(async (tx) => …), not the client itself.')])
  expect(service.getSemanticDiagnostics(file)).toHaveLength(3)
})
