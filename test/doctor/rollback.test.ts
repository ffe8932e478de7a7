import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { migration } from '../../src/cli/fragment.ts'
import type { Verdict } from '../../src/doctor/verdict.ts'
import { cli } from '../support/cli.ts'
import { createDatabase, useDatabase } from '../support/database.ts'
import { prisma6 } from '../support/installed.ts'
import { loginOf } from './diagnose.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
// Below the repository, where the driver adapter is found.
mkdirSync(join(root, '.cache'), { recursive: true })
const home = mkdtempSync(join(root, '.cache', 'client-'))
const module = join(home, 'db.ts')

const database = useDatabase('all')
afterAll(async () => {
  rmSync(home, { recursive: true, force: true })
})

const versions: Record<string, () => Promise<{ adapter: string; client: string }>> = {
  'Prisma 7.10': async () => ({ adapter: '@prisma/adapter-pg', client: join(root, 'test/enqueue/generated/client/client.ts') }),
  'Prisma 6.19': async () => ({
    adapter: createRequire(join(await prisma6(), 'here.js')).resolve('@prisma/adapter-pg'),
    client: join(root, 'test/support/prisma6/generated/client/client.ts'),
  }),
}

/** A module of the application, in which these clients are made of `base`. */
async function write(clients: Record<string, string>, { version = 'Prisma 7.10', url = database.directUrl } = {}): Promise<void> {
  const { adapter, client } = await versions[version]!()
  const text = `import { PrismaPg } from ${JSON.stringify(adapter)}
import { outbox } from ${JSON.stringify(join(root, 'src/index.ts'))}
import { PrismaClient } from ${JSON.stringify(client)}
const base: any = new PrismaClient({ adapter: new PrismaPg({ connectionString: ${JSON.stringify(url)} }) })
const timed = base.$extends({ query: { $allOperations: async ({ args, query }) => await query(args) } })
const outer = base.$extends({ query: { $allModels: {
  $allOperations: ({ model, operation, args }) => base[model[0].toLowerCase() + model.slice(1)][operation](args),
} } })
const raw = base.$extends({ query: { $executeRaw: ({ args }) => base.$executeRaw(args) } })
const asked = base.$extends({ query: { $queryRaw: ({ args }) => base.$queryRaw(args) } })
// Commits what failed, and rejects afterwards.
const lenient = base.$extends({ client: { async $transaction(callback) {
  let failure
  await base.$transaction((tx) => callback(tx).catch((error) => { failure = error }))
  throw failure
} } })
// As Prisma's example of row-level security has it.
const secured = (client, what) => client.$extends({ query: { [what]: { $allOperations: async ({ args, query }) =>
  (await client.$transaction([client.$queryRaw\`SELECT set_config('app.tenant', '1', TRUE)\`, query(args)]))[1],
} } })
const stuck = base.$extends({ query: { $executeRaw: () => new Promise(() => {}) } })
${Object.entries(clients)
  .map(([name, made]) => `export const ${name} = ${made}`)
  .join('\n')}
`
  writeFileSync(module, text)
}

/** In a process of its own: a second client of Prisma 7 in one process shares the memory of the first one's query compiler. */
async function look(...flags: string[]): Promise<Verdict[]> {
  const { code, stdout } = await cli(['doctor', '--json', '--client', module, ...flags], { DATABASE_URL: database.directUrl })
  const verdicts = (JSON.parse(stdout) as Verdict[]).filter(({ check }) => check === 'rollback')
  expect(code).toBe(verdicts.some(({ level }) => level === 'failure') ? 1 : 0)
  return verdicts
}

const login = (...grants: string[]) => loginOf(database, ...grants)

const waiting = () => database.query('SELECT topic FROM outbox')

test('a client is tried on the tables of the prefix', async () => {
  await database.query(migration({ tablePrefix: 'p_' }))
  await write({ kept: 'lenient', well: 'base' })
  const verdicts = await look('--table-prefix', 'p_')
  expect(verdicts.map(({ level }) => level)).toEqual(['failure', 'ok'])
  // What stayed was taken out again, of both ways.
  expect(verdicts[0]!.finding).toContain('enqueue and a model')
  expect(await database.query('SELECT topic FROM p_outbox UNION ALL SELECT topic FROM outbox')).toEqual([])
  await database.query('DROP TABLE p_outbox, p_outbox_lease, p_outbox_relay, p_outbox_dead_letter')
})

const cases: Record<string, { made: string; stays?: string; refused?: boolean }> = {
  plain: { made: 'base' },
  withOutbox: { made: 'base.$extends(outbox())' },
  hooked: { made: 'timed.$extends(outbox())' },
  outerModels: { made: 'outer.$extends(outbox())', stays: 'a model' },
  securedBefore: { made: "secured(base, '$allModels').$extends(outbox())", stays: 'a model' },
  securedAfter: { made: "secured(base.$extends(outbox()), '$allModels')", stays: 'a model' },
  outerRaw: { made: 'raw.$extends(outbox())', refused: true },
  outerQuestion: { made: 'asked.$extends(outbox())', refused: true },
  both: { made: "secured(raw, '$allModels').$extends(outbox())", stays: 'a model' },
  committed: { made: 'lenient.$extends(outbox())', stays: 'enqueue and a model' },
}

describe.each(Object.keys(versions))('of %s', (version) => {
  test('a client is well whose extensions call query(args), and sick where one sends queries out of the transaction', async () => {
    await write(Object.fromEntries(Object.entries(cases).map(([name, { made }]) => [name, made])), { version })
    const verdicts = await look()
    for (const [name, { stays, refused }] of Object.entries(cases)) {
      const well = `${name} of ${module}: what enqueue and models write in a transaction goes with its rollback.`
      const sick = `${name} of ${module}: what ${stays} wrote in a transaction stayed after its rollback.`
      const unreached = `${name} of ${module}: enqueue is refused in every transaction, since its statements do not reach it.`
      const verdict = verdicts.find(({ finding }) => finding.startsWith(`${name} of`))
      const finding = stays ? sick : refused ? unreached : well
      expect(verdict).toMatchObject({ level: finding === well ? 'ok' : 'failure', finding })
    }
    expect(verdicts).toHaveLength(Object.keys(cases).length)
    // What stayed was taken out again.
    expect(await waiting()).toEqual([])
  })
})

/** A module of an application of Prisma 8. */
function write8(clients: Record<string, string>, url = database.directUrl): void {
  const shop = new URL('../prisma8/shop/contract.json', import.meta.url)
  const runtime = createRequire(join(root, 'test/prisma8/here.js')).resolve('@prisma/orm-postgres/runtime')
  const text = `import postgres from ${JSON.stringify(runtime)}
import { withOutbox } from ${JSON.stringify(join(root, 'src/prisma8.ts'))}
import contractJson from ${JSON.stringify(fileURLToPath(shop))} with { type: 'json' }
const made = (middleware: any[] = []): any =>
  postgres({ contractJson: contractJson as never, url: ${JSON.stringify(url)}, verifyMarker: false, middleware })
// Answers in the place of the database, as a mock does.
const mock = { name: 'mock', interceptExecute: async () => ({ stats: { affectedRows: 0 } }) }
// Commits what failed, and rejects afterwards.
const lenient = (db: any) => Object.create(db, { transaction: { value: async (callback: any) => {
  let failure
  await db.transaction((tx: any) => callback(tx).catch((error: unknown) => { failure = error }))
  throw failure
} } })
${Object.entries(clients)
  .map(([name, made]) => `export const ${name} = ${made}`)
  .join('\n')}
`
  writeFileSync(module, text)
}

describe('of Prisma 8', () => {
  test('a wrapped client is well; one that commits what failed, and one that is mocked, are not', async () => {
    write8({
      base: 'made()',
      db: 'withOutbox(made())',
      committed: 'lenient(withOutbox(made()))',
      mocked: 'withOutbox(made([mock]))',
    })
    const finding = (name: string, what: string) => `${name} of ${module}: ${what}`
    // The client that is wrapped beside it is none that the application is to use.
    const found = (await look()).map(({ level, finding }) => ({ level, finding }))
    expect(found.sort((a, b) => a.finding.localeCompare(b.finding))).toEqual([
      {
        level: 'failure',
        finding: finding('committed', 'what enqueue and a statement wrote in a transaction stayed after its rollback.'),
      },
      {
        level: 'ok',
        finding: finding('db', 'what enqueue and statements without await write in a transaction goes with its rollback.'),
      },
      {
        level: 'failure',
        finding: finding('mocked', 'enqueue is refused in every transaction, since its statements do not reach it.'),
      },
    ])
    expect(await waiting()).toEqual([])
  })

  test('a client of another database is a failure', async () => {
    await using other = await createDatabase()
    write8({ db: 'withOutbox(made())' }, other.directUrl)
    expect(await look()).toMatchObject([{ level: 'failure', finding: expect.stringContaining('writes to another outbox') }])
  })

  test('a module whose client is not wrapped is refused, with the remedy', async () => {
    write8({ db: 'made()' })
    const { code, stderr } = await cli(['doctor', '--client', module], { DATABASE_URL: database.directUrl })
    expect([code, stderr]).toEqual([2, expect.stringContaining('export const db = withOutbox(postgres(…))')])
  })
})

test('a role that can only insert is enough for the client', async () => {
  const role = await login('INSERT ON outbox', 'USAGE ON SEQUENCE outbox_id_seq')
  await write({ prisma: cases.withOutbox!.made }, { url: role.url })
  expect(await look()).toMatchObject([{ level: 'ok' }])
})

test('a client of another database is a failure: nothing stays here, whatever it does', async () => {
  await using other = await createDatabase()
  await write({ prisma: cases.outerRaw!.made }, { url: other.directUrl })
  expect(await look()).toMatchObject([
    { level: 'failure', finding: `prisma of ${module} writes to another outbox than this command looks at.` },
  ])
})

test('a client that cannot enqueue is a failure that says why', async () => {
  const role = await login()
  await write({ prisma: cases.withOutbox!.made }, { url: role.url })
  expect(await look()).toMatchObject([{ level: 'failure', finding: expect.stringContaining('may not write to public.outbox') }])
})

test('a transaction that does not end is given up', async () => {
  await write({ prisma: 'stuck.$extends(outbox())' })
  expect(await look()).toMatchObject([{ level: 'failure', finding: expect.stringContaining('(no end within 10 s)') }])
})

test('a role that may not take out what stays cannot say that nothing did', async () => {
  const role = await login('SELECT ON outbox')
  await write({ prisma: cases.withOutbox!.made })
  expect(await look('--database-url', role.url)).toMatchObject([
    { level: 'failure', finding: expect.stringContaining('The database role may not do this.') },
  ])
})

test('a module without a client, and one that is not there, are refused before anything is asked', async () => {
  const nobody = { DATABASE_URL: 'postgresql://u:p@127.0.0.1:1/d' }
  writeFileSync(module, 'export const prisma = { $transaction: 1 }\n')
  expect(await cli(['doctor', '--client', module], nobody)).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('exports no Prisma client'),
  })
  expect(await cli(['doctor', '--client', 'none.ts'], nobody)).toMatchObject({
    code: 1,
    stdout: '',
    stderr: expect.stringContaining('There is no none.ts. Name the module: --client <path>.'),
  })
})
