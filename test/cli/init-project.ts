import { afterEach, expect } from 'vitest'
import { type InitOptions, init } from '../../src/cli/init.ts'
import { isOutboxError } from '../../src/message/errors.ts'
import { createProject, type TestProject } from '../support/prisma-cli.ts'

/** When `init` runs in these tests. */
export const now = new Date('2026-03-04T05:06:07.890Z')

/** The migration that it writes then, below the folder of migrations. */
export const stamped = '20260304050607_outbox/migration.sql'

/** Parts of a schema file. */
export const datasource = 'datasource db {\n  provider = "postgresql"\n}\n'
export const order = 'model Order {\n  id Int @id\n}\n'

const opened: TestProject[] = []
afterEach(() => {
  for (const project of opened.splice(0)) project.remove()
})

/** A project with these files, until the test ends. */
export function project(
  files: Record<string, string>,
): TestProject & { init(options?: Partial<InitOptions>): ReturnType<typeof init> } {
  const created = createProject(files)
  opened.push(created)
  return { ...created, init: (options) => init({ cwd: created.path, now, ...options }) }
}

/** The error that `init` throws, and the proof that it has written nothing. */
export function refusal(files: Record<string, string>, options?: Partial<InitOptions>): Error {
  const shop = project(files)
  const before = shop.files()
  try {
    shop.init(options)
  } catch (error) {
    expect(shop.files()).toEqual(before)
    if (isOutboxError(error)) return error
    throw error
  }
  throw new Error('init refused nothing')
}
