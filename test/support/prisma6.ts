import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const home = join(dirname(fileURLToPath(import.meta.url)), 'prisma6')

/** node_modules with Prisma 6.19, its client and its PostgreSQL adapter; npm installs them the first time. */
export async function prisma6(): Promise<string> {
  const modules = join(home, 'node_modules')
  if (existsSync(modules)) return modules
  // Test files run side by side: each installs into a place of its own, and the first to be ready wins.
  const arriving = join(home, `.arriving-${process.pid}`)
  await mkdir(arriving, { recursive: true })
  for (const file of ['package.json', 'package-lock.json']) await copyFile(join(home, file), join(arriving, file))
  await promisify(execFile)('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: arriving })
  await rename(join(arriving, 'node_modules'), modules).catch((error) => {
    if (!existsSync(modules)) throw error
  })
  await rm(arriving, { recursive: true, force: true })
  return modules
}
