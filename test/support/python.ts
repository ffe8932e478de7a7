import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Packages of the tests' Python, pinned. */
const packages = ['psycopg==3.2.13', 'psycopg-binary==3.2.13', 'typing-extensions==4.15.0']
const folder = fileURLToPath(new URL('../../.cache/python-psycopg-3.2.13', import.meta.url))

/** A Python with psycopg, the usual PostgreSQL client; pip fetches it once. Undefined where the machine has no `python3` with `venv`. */
export async function pythonWithPsycopg(): Promise<string | undefined> {
  const python = `${folder}/bin/python`
  if (existsSync(python)) return python
  const arriving = `${folder}.${process.pid}`
  const made = await run('python3', ['-m', 'venv', arriving]).then(
    () => true,
    () => false,
  )
  if (!made) return undefined
  await run(`${arriving}/bin/python`, ['-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--no-deps', ...packages])
  await rename(arriving, folder)
  return python
}
