import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Packages that tests run in Python, pinned. */
export const pythonPackages = {
  psycopg: ['psycopg==3.2.13', 'psycopg-binary==3.2.13', 'typing-extensions==4.15.0'],
  'kubernetes-validate': ['kubernetes-validate==1.37.0'],
}

/** A Python with a package; pip fetches it once. Undefined where the machine has no `python3` with `venv`. */
export async function pythonWith(name: keyof typeof pythonPackages): Promise<string | undefined> {
  const packages = pythonPackages[name]
  const folder = fileURLToPath(new URL(`../../.cache/python-${packages[0]!.replace('==', '-')}`, import.meta.url))
  const python = `${folder}/bin/python`
  if (existsSync(python)) return python
  const arriving = `${folder}.${process.pid}`
  const made = await run('python3', ['-m', 'venv', arriving]).then(
    () => true,
    () => false,
  )
  if (!made) return undefined
  await run(`${arriving}/bin/python`, ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', ...packages])
  await rename(arriving, folder)
  return python
}
