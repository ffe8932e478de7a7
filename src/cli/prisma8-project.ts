import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { contractSpace } from '../prisma/contract-space.ts'
import { type OrmConfig, ormConfig } from './orm-config.ts'
import { withoutComments } from './prisma-project.ts'

// What a project of Prisma 8 has of our tables: the extension in its configuration, our migrations in its folder, its emitted contract.
// Only read. Used by init and doctor.

/** How the project's copy of our migrations compares with those of this package. */
export type Planned = 'none' | 'current' | 'earlier' | 'other'

/** A project of Prisma 8 whose contract is its own. */
export interface Prisma8Project {
  /** Absolute path of prisma.config.ts. */
  configPath: string
  text: string
  config: OrmConfig
  /** Whether the extension is declared; undefined: neither the configuration nor the emitted contract says. */
  declared: boolean | undefined
  /** Undefined: the folder of the migrations is computed by the configuration. */
  planned: Planned | undefined
  /** The command that copies our migrations into the project. */
  planCommand: string
  /** Tables of the emitted contract by PostgreSQL schema. Undefined: it is not emitted, or where is computed. */
  tables: Record<string, string[]> | undefined
}

/** A contract space of Prisma 8, as far as it is compared. */
export interface Space {
  headRef: { hash: string }
  migrations: { metadata: { to: string } }[]
}

/**
 * The project of the folder. Undefined: it has none of Prisma 8, or one whose schema Prisma 7 owns. `space`: the migrations that its copies are
 * compared with, by default those of this package.
 */
export function prisma8Project(cwd: string, space = contractSpace as Space): Prisma8Project | undefined {
  const configPath = join(cwd, 'prisma.config.ts')
  if (!existsSync(configPath)) return undefined
  const text = readFileSync(configPath, 'utf8')
  const bare = withoutComments(text)
  if (!/\bdefinePrismaConfig\b|@prisma\/orm-/.test(bare) || /\bprisma7Schema\s*\(/.test(bare)) return undefined
  const config = ormConfig(text)
  const migrations = migrationsFolder(configPath, config)
  const contract = emittedContract(configPath, config)
  return {
    configPath,
    text,
    config,
    declared: config.declares ?? (contract && contract.extensions?.outbox !== undefined),
    planned: migrations === undefined ? undefined : plannedIn(migrations, space),
    planCommand: planCommand(migrations),
    tables: contract && tablesIn(contract),
  }
}

/** A plain string; undefined: the value is computed, or the option is not there. */
const literal = (value: string | undefined): string | undefined => /^(["'`])([^"'`$]*)\1$/.exec(value ?? '')?.[2]

function migrationsFolder(configPath: string, { options }: OrmConfig): string | undefined {
  if (!options) return undefined
  const migrations = options.get('migrations')
  const folder = migrations === undefined ? 'migrations' : literal(/\bdir["']?\s*:\s*([^,}]*?)\s*[,}]/.exec(migrations)?.[1])
  return folder === undefined ? undefined : resolve(dirname(configPath), folder)
}

interface EmittedContract {
  extensions?: Record<string, unknown>
  storage: { namespaces: Record<string, { entries?: { table?: Record<string, unknown> } }> }
}

/** The file that `contract emit` writes, beside the contract or in the folder `output`. */
function emittedContract(configPath: string, { options }: OrmConfig): EmittedContract | undefined {
  const contract = literal(options?.get('contract'))
  const output = options?.get('output')
  const folder = literal(output)
  if (contract === undefined || (output !== undefined && folder === undefined)) return undefined
  const place = folder === undefined ? contract.replace(/(\.\w+)?$/, '.json') : join(folder, 'contract.json')
  return readJson<EmittedContract>(resolve(dirname(configPath), place))
}

const tablesIn = ({ storage }: EmittedContract): Record<string, string[]> =>
  Object.fromEntries(
    Object.entries(storage.namespaces).map(([schema, { entries }]) => [schema, Object.keys(entries?.table ?? {})]),
  )

/** The head of our migrations in the folder, among those of the space. */
function plannedIn(migrations: string, space: Space): Planned {
  const head = readJson<{ hash: string }>(join(migrations, 'outbox', 'refs', 'head.json'))
  if (!head) return 'none'
  if (head.hash === space.headRef.hash) return 'current'
  return space.migrations.some(({ metadata }) => metadata.to === head.hash) ? 'earlier' : 'other'
}

/**
 * `migration plan` begins at the reference `db`, which `db migrate` only moves with `--advance-ref db`. Without that reference it stops with
 * PLAN_ORIGIN_UNKNOWN, and copies nothing of ours, unless it is told the latest migration of the application.
 */
function planCommand(migrations: string | undefined): string {
  const app = migrations && join(migrations, 'app')
  const names = app && existsSync(app) ? readdirSync(app).filter((name) => existsSync(join(app, name, 'migration.json'))) : []
  const latest = names.sort().at(-1)
  if (latest === undefined) return 'npx prisma migration plan --name init'
  return `npx prisma migration plan${existsSync(join(app!, 'refs', 'db.json')) ? '' : ` --from ${latest}`}`
}

function readJson<T>(path: string): T | undefined {
  if (!existsSync(path)) return undefined
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as T
  } catch {
    return undefined
  }
}
