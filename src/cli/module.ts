import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { createJiti } from 'jiti'
import { OutboxError } from '../message/errors.ts'

/** What a module of the application exports, TypeScript or JavaScript; `flag` has named it. Throws NOT_FOUND and INVALID_OPTION. */
export async function loadModule(path: string, flag: string, folder = process.cwd()): Promise<Record<string, unknown>> {
  const file = resolve(folder, path)
  if (!existsSync(file)) {
    throw new OutboxError('NOT_FOUND', `There is no ${path}.`, { field: flag, remedy: `Name the module: --${flag} <path>.` })
  }
  try {
    return await createJiti(import.meta.url, { interopDefault: false, moduleCache: false }).import(file)
  } catch (cause) {
    const remedy = `See the cause: ${cause instanceof Error ? cause.message.split('\n')[0] : 'unknown'}`
    throw new OutboxError('INVALID_OPTION', `${path} cannot be loaded.`, { field: flag, remedy, cause })
  }
}
