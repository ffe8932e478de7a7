import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { computeMigrationHash } from '@prisma/orm-postgres/migration-tools/hash'
import { config, prisma, writeProject } from './project.ts'

// Makes src/prisma/contract-space.ts: the tables as Prisma 8 knows them. Written by `npx tsx test/prisma8/space.ts`, compared by a test.

const here = fileURLToPath(new URL('.', import.meta.url))
const root = join(here, '..', '..')
const target = join(root, 'src/prisma/contract-space.ts')

/** Part of the identity of a migration; never changed once it is published. */
const dirName = '20261130T0000_create_outbox'
const createdAt = '2026-11-30T00:00:00.000Z'

/** One step of our migration: SQL of a folder in prisma/migrations, done where its first table is there. */
async function operation(folder: string, table: string) {
  const sql = await readFile(join(root, 'prisma/migrations', folder, 'migration.sql'), 'utf8')
  const id = `outbox:create-${table}`
  const check = (what: string, sql: string) => [{ description: what, sql, params: [`"public"."${table}"`] }]
  return {
    id,
    label: `Create the tables of "${table}"`,
    // "data" would be refused by db init and db update. With an invariant they run this SQL, and do not make tables of the contract.
    operationClass: 'additive',
    invariantId: id,
    target: { id: 'postgres' },
    precheck: check(`"${table}" is not there`, 'SELECT to_regclass($1) IS NULL AS "result"'),
    execute: [{ description: `migrations/${folder}/migration.sql`, sql, params: [] }],
    postcheck: check(`"${table}" is there`, 'SELECT to_regclass($1) IS NOT NULL AS "result"'),
  }
}

type Operation = Awaited<ReturnType<typeof operation>>

/** A contract space, in Prisma's JSON. */
export interface Space {
  contractJson: { storage: { storageHash: string } }
  migrations: { dirName: string; metadata: { to: string }; ops: Operation[] }[]
  headRef: { hash: string; invariants: string[] }
}

/** The space with one more migration, which leads to these models. `scratch`: a folder that is not there. */
export async function extendedSpace(
  space: Pick<Space, 'migrations' | 'headRef'> | undefined,
  models: string,
  { dirName, createdAt, ops }: { dirName: string; createdAt: string; ops: Operation[] },
  scratch: string,
): Promise<Space> {
  await writeProject(scratch, { 'prisma.config.ts': config('postgresql://127.0.0.1/none'), 'contract.prisma': models })
  const { ok, result } = await prisma(scratch, 'contract emit')
  if (!ok) throw new Error(`The contract was not emitted: ${JSON.stringify(result)}`)
  const contractJson = JSON.parse(await readFile(join(scratch, 'contract.json'), 'utf8'))
  const added = ops.map((op) => op.invariantId).sort()
  const hash: string = contractJson.storage.storageHash
  const envelope = { from: space?.headRef.hash ?? null, to: hash, providedInvariants: added, createdAt }
  const metadata = { ...envelope, migrationHash: computeMigrationHash(envelope as never, ops as never) }
  const invariants = [...(space?.headRef.invariants ?? []), ...added].sort()
  return { contractJson, migrations: [...(space?.migrations ?? []), { dirName, metadata, ops }], headRef: { hash, invariants } }
}

/** The models of our tables, as tables that Prisma 8 makes. */
export const spaceModels = async (): Promise<string> =>
  (await readFile(join(root, 'prisma/prisma-8/outbox.prisma'), 'utf8')).replaceAll('  @@control(external)\n', '')

/** The text of src/prisma/contract-space.ts. */
export async function contractSpace(scratch: string): Promise<string> {
  const folders = (await readdir(join(root, 'prisma/migrations'))).sort()
  const ops = [await operation(folders[0]!, 'outbox'), await operation(folders[1]!, 'inbox')]
  const space = await extendedSpace(undefined, await spaceModels(), { dirName, createdAt, ops }, scratch)
  const text = JSON.stringify(space).replaceAll('\\', '\\\\').replaceAll("'", "\\'")
  return `// Made by test/prisma8/space.ts from prisma/prisma-8 and prisma/migrations; a test compares. Not edited by hand.

/** The tables as a contract space of Prisma 8, in its JSON. */
export const contractSpace: unknown = JSON.parse(
  '${text}',
)
`
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const scratch = join(here, `.space-${process.pid}`)
  await writeFile(target, await contractSpace(scratch))
  await rm(scratch, { recursive: true, force: true })
}
