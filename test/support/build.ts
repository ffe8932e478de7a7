import { execFile } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The built command line, as it is shipped. */
export const builtMain: string = join(root, 'dist', 'cli', 'main.js')

/** Builds the package if a source is newer than what was built: tests run the real program in processes of their own. */
export async function buildIfStale(): Promise<void> {
  const built = statSync(builtMain, { throwIfNoEntry: false })?.mtimeMs ?? 0
  const names = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  if (names.every((name) => statSync(join(root, 'src', name)).mtimeMs <= built)) return
  await promisify(execFile)(process.execPath, [join(root, 'build.mjs')], { cwd: root })
}
