import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const tests = join(dirname(fileURLToPath(import.meta.url)), '..')

/** Milliseconds that npm has for one folder: the largest takes less than one minute. */
const limitMs = 300_000

/** node_modules with Prisma 6.19, its client and its PostgreSQL adapter. */
export const prisma6 = (): Promise<string> => installed('support/prisma6')

/** node_modules with Prisma 8's ORM, without its command line. */
export const prisma8 = (): Promise<string> => installed('prisma8')

/** node_modules of a folder below `test` that has a package.json and a lockfile; npm installs them the first time, and if the lockfile changed. */
async function installed(folder: string): Promise<string> {
  const home = join(tests, folder)
  const modules = join(home, 'node_modules')
  const lock = await readFile(join(home, 'package-lock.json'), 'utf8')
  const isThere = async () => (await readFile(join(modules, '.installed-from'), 'utf8').catch(() => '')) === lock
  if (await isThere()) return modules
  // Test files run side by side: each installs into a place of its own, and the first to be ready wins.
  const arriving = join(home, `.arriving-${process.pid}`)
  await mkdir(arriving, { recursive: true })
  for (const file of ['package.json', 'package-lock.json']) await copyFile(join(home, file), join(arriving, file))
  await promisify(execFile)('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: arriving, timeout: limitMs })
  await writeFile(join(arriving, 'node_modules', '.installed-from'), lock)
  if (!(await isThere())) await rm(modules, { recursive: true, force: true })
  await rename(join(arriving, 'node_modules'), modules).catch((error) => {
    if (!existsSync(modules)) throw error
  })
  await rm(arriving, { recursive: true, force: true })
  return modules
}
