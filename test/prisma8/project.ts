import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { run } from './prisma.mjs'

// Projects of Prisma 8 for tests, and Prisma's own commands in them. The commands run in this process: each takes a tenth of a second, and
// one to ten seconds as a process.

const here = fileURLToPath(new URL('.', import.meta.url))

/** This package as a project of a test has it: what prisma.config.ts imports is that of the sources. */
const ownPackage = {
  'package.json': '{ "type": "module", "exports": { "./prisma8": "./prisma8.ts" } }',
  'prisma8.ts': `export { outbox } from '${fileURLToPath(new URL('../../src/prisma/contract-extension.ts', import.meta.url))}'\n`,
}

/** The configuration of a project; `more`: further options of the ORM, which may name the extension `outbox`. */
export const config = (url: string, more = '') => `import { definePrismaConfig } from '@prisma/cli-engine'
import { defineConfig as ormConfig } from '@prisma/orm-postgres/config'
${more.includes('outbox') ? `import { outbox } from 'prisma-extension-outbox/prisma8'\n` : ''}
export default definePrismaConfig({
  orm: ormConfig({ contract: './contract.prisma', db: { connection: '${url}' }, ${more} }),
})
`

/** Writes a Prisma 8 project whose packages are those of this folder; `files` by their paths. */
export async function writeProject(folder: string, files: Record<string, string>): Promise<void> {
  const packages = join(folder, 'node_modules')
  await mkdir(packages, { recursive: true })
  for (const name of await readdir(join(here, 'node_modules'))) {
    await symlink(join(here, 'node_modules', name), join(packages, name))
  }
  await write(join(packages, 'prisma-extension-outbox'), ownPackage)
  await write(folder, { 'package.json': await readFile(join(here, 'package.json'), 'utf8'), ...files })
}

/** Gives a project another version of this package, with this contract space. */
export async function upgrade(folder: string, space: unknown): Promise<void> {
  const text = `import { outbox as own } from './own.ts'\nexport const outbox = { ...own, contractSpace: ${JSON.stringify(space)} }\n`
  await write(join(folder, 'node_modules/prisma-extension-outbox'), { 'own.ts': ownPackage['prisma8.ts'], 'prisma8.ts': text })
}

/** Writes files by their paths in a folder. */
export async function write(folder: string, files: Record<string, string>): Promise<void> {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(folder, path, '..'), { recursive: true })
    await writeFile(join(folder, path), text)
  }
}

/** The answer of a command of Prisma 8: its result, or its error. */
export interface Answer {
  ok: boolean
  code: string | undefined
  result: Record<string, never>
}

/** Runs a command of Prisma 8 in a project. Nothing is asked of the network. */
export async function prisma(folder: string, command: string): Promise<Answer> {
  let output = ''
  const stream = () =>
    new Writable({
      write(chunk, _, done) {
        output += chunk
        done()
      },
    })
  await run(command.split(' '), {
    cwd: folder,
    env: { ...process.env, PRISMA_DISABLE_TELEMETRY: '1', CHECKPOINT_DISABLE: '1', NO_COLOR: '1' },
    stdin: Readable.from([]),
    stdout: stream(),
    stderr: stream(),
    exit: (code) => {
      throw new Error(`prisma ${command} ended with ${code}: ${output}`)
    },
  })
  const last = output.split('\n').findLast((line) => line.startsWith('{"kind":"result"'))
  if (!last) throw new Error(`prisma ${command} gave no result: ${output}`)
  const { envelope } = JSON.parse(last)
  const result = envelope.result ?? envelope.error
  // A verification that finds something is a command that worked.
  return { ok: envelope.ok && result.ok !== false, code: result.code, result }
}
