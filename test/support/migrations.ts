import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const migrations = fileURLToPath(new URL('../../prisma/migrations', import.meta.url))

/** The package's own migration, as `init` would write it. */
export const migrationSql = readdirSync(migrations, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => readFileSync(join(migrations, entry.name, 'migration.sql'), 'utf8'))
  .join('\n')
