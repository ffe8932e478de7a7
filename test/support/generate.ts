import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { prisma6, prisma8 } from './installed.ts'

const run = promisify(execFile)
const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** A Prisma client that tests or examples need. All paths are relative to the repository. */
interface GeneratedClient {
  /** Files and folders that make up its schema; they are copied together, so that a generator's `output` starts from `into`/schema. */
  schema: string[]
  /** Folder for the schema and for what is generated; replaced as a whole. */
  into: string
  /** Version of Prisma that generates it. */
  prisma: 6 | 7
  /** The folder beside the copied schema that becomes `into`, where the generator's `output` is that of the schema's own project. */
  keep?: string
}

const clients: GeneratedClient[] = [
  {
    schema: [
      'test/enqueue/prisma/prisma-7.prisma',
      'test/enqueue/prisma/shop.prisma',
      'prisma/outbox.prisma',
      'prisma/inbox.prisma',
    ],
    into: 'test/enqueue/generated',
    prisma: 7,
  },
  {
    schema: [
      'test/enqueue/prisma/prisma-6.prisma',
      'test/enqueue/prisma/shop.prisma',
      'prisma/outbox.prisma',
      'prisma/inbox.prisma',
    ],
    // Below the node_modules of Prisma 6, which it imports.
    into: 'test/support/prisma6/generated',
    prisma: 6,
  },
]

const shop: GeneratedClient = {
  schema: ['examples/orders/prisma'],
  into: 'examples/orders/generated',
  keep: 'generated',
  prisma: 7,
}

/**
 * Makes every client that is missing or older than its schema, and installs Prisma 8, whose client is not generated. Takes no time when all
 * are there; several processes may do it at once.
 */
export async function generateClients(): Promise<void> {
  await prisma8()
  for (const client of clients) await generate(client)
  await generateShop()
}

/** Makes the client of the example only: the demo needs no other. */
export const generateShop = (): Promise<void> => generate(shop)

async function generate({ schema, into, prisma, keep = '.' }: GeneratedClient): Promise<void> {
  const files = (await Promise.all(schema.map(schemaFiles))).flat()
  const cli = join(prisma === 6 ? await prisma6() : join(root, 'node_modules'), 'prisma')
  const stamp = await hashOf([...files, join(cli, 'package.json')])
  const target = join(root, into)
  if ((await readFile(join(target, 'stamp'), 'utf8').catch(() => '')) === stamp) return
  const arriving = `${target}.${process.pid}`
  await mkdir(join(arriving, 'schema'), { recursive: true })
  for (const file of files) await copyFile(file, join(arriving, 'schema', basename(file)))
  const env = {
    ...process.env,
    // Nothing is run with them, but the command line would fetch engines that generating does not need.
    PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true',
    PRISMA_QUERY_ENGINE_LIBRARY: '/bin/true',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
  }
  const args = [join(cli, 'build', 'index.js'), 'generate', '--schema', join(arriving, 'schema')]
  await run(process.execPath, args, { cwd: arriving, env })
  await writeFile(join(arriving, keep, 'stamp'), stamp)
  await replace(join(arriving, keep), target)
  await rm(arriving, { recursive: true, force: true })
}

async function schemaFiles(path: string): Promise<string[]> {
  const full = join(root, path)
  if (path.endsWith('.prisma')) return [full]
  const names = await readdir(full)
  return names.filter((name) => name.endsWith('.prisma')).map((name) => join(full, name))
}

async function replace(arriving: string, target: string): Promise<void> {
  await rm(target, { recursive: true, force: true })
  await rename(arriving, target).catch(async (error) => {
    // Another process was quicker, with the same.
    if (!existsSync(target)) throw error
    await rm(arriving, { recursive: true, force: true })
  })
}

async function hashOf(files: string[]): Promise<string> {
  const hash = createHash('sha256')
  for (const file of files) hash.update(await readFile(file))
  return hash.digest('hex').slice(0, 16)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await generateClients()
