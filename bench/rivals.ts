import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

// Relays of others. RIVALS names a folder in which their packages are installed from npm; bench/README.md says which.

/** The packages of each rival. */
const packages = {
  eventferry: ['@eventferry/core', '@eventferry/postgres', '@eventferry/kafka', 'kafkajs', 'pg'],
} satisfies Record<string, readonly string[]>

/** Name of a rival. */
export type RivalName = keyof typeof packages

/** The names of all rivals. */
export const rivals: readonly string[] = Object.keys(packages)

/**
 * The packages of these rivals with their versions, as they are installed.
 *
 * @throws Error if one is missing, with the command that installs it.
 */
export function rivalVersions(names: readonly string[]): string[] {
  return names.flatMap((name) =>
    packages[name as RivalName].map((one) => {
      const { version } = JSON.parse(inFolder(() => readFileSync(join(folder(), 'node_modules', one, 'package.json'), 'utf8')))
      return `${one} ${version}`
    }),
  )
}

/** The tables of eventferry, by its own functions. */
export function eventferrySchema(): string {
  const program = `import { createMigrationSql, createNotifyTriggerSql } from '@eventferry/postgres'
    console.log(createMigrationSql('outbox') + ';' + createNotifyTriggerSql('outbox', 'outbox'))`
  const options = { cwd: folder(), encoding: 'utf8' as const, stdio: 'pipe' as const }
  return inFolder(() => execFileSync(process.execPath, ['--input-type=module', '-e', program], options))
}

function folder(): string {
  if (process.env.RIVALS) return process.env.RIVALS
  throw new Error('RIVALS names no folder: install the packages of the rival into one, as bench/README.md says.')
}

function inFolder<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    const all = Object.values(packages).flat().join(' ')
    throw new Error(`A package is missing in ${folder()}: run "npm install ${all}" there.`, { cause })
  }
}
