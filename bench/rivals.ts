import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * The tables of another outbox.
 *
 * @throws Error where `rivals.sh` has not built it.
 */
export function rivalSchema(name: string): string {
  const folder = process.env.RIVALS
  if (!folder) throw new Error(`RIVALS names no folder: bench/rivals.sh builds ${name} from its source.`)
  return readFileSync(join(folder, `${name}.sql`), 'utf8')
}
