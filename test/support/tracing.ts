import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { codeBlocks } from './readme.ts'

/** Writes the module that docs/operating.md gives for `node --import`, where it finds the SDK; gives its URL. */
export function writeTracingModule(): string {
  const docs = readFileSync(fileURLToPath(new URL('../../docs/operating.md', import.meta.url)), 'utf8')
  const { code } = codeBlocks(docs).find(({ language, code }) => language === 'js' && code.startsWith('// tracing.mjs\n'))!
  const cache = new URL('../../.cache/', import.meta.url)
  mkdirSync(cache, { recursive: true })
  const module = new URL(`tracing-${process.pid}.mjs`, cache)
  writeFileSync(module, code)
  return module.href
}
