import { execFileSync } from 'node:child_process'
import { afterEach, describe, expect, test } from 'vitest'
import { fragment, type Naming } from '../../src/cli/fragment.ts'
import { createDatabase } from '../support/database.ts'
import { prisma6 } from '../support/installed.ts'
import { createProject, type TestProject } from '../support/prisma-cli.ts'

const config = `export default { schema: 'prisma' }`
const schema = (generator: string, datasource = '') => `generator client {
  ${generator}
  output = "../generated"
}

datasource db {
  provider = "postgresql"
  ${datasource}
}
`

const opened: TestProject[] = []
afterEach(() => {
  for (const project of opened.splice(0)) project.remove()
})

async function generate(head: string, naming: Naming = {}, modules?: string): Promise<TestProject> {
  const project = createProject(
    { 'prisma.config.ts': config, 'prisma/schema.prisma': head, 'prisma/outbox.prisma': fragment(naming) },
    modules,
  )
  opened.push(project)
  const { code, output } = await project.prisma(['generate'])
  expect(output).toContain('Generated Prisma Client')
  expect(code).toBe(0)
  return project
}

/** Columns by table, as a generated client knows them. */
function columns(project: TestProject): Record<string, string[]> {
  const script = `const { Prisma } = require('./generated')
    const fields = (model) => model.fields.map((field) => field.dbName ?? field.name)
    console.log(JSON.stringify(Object.fromEntries(Prisma.dmmf.datamodel.models.map((model) => [model.dbName, fields(model)]))))`
  return JSON.parse(execFileSync(process.execPath, ['-e', script], { cwd: project.path, encoding: 'utf8' }))
}

async function columnsOfMigration(): Promise<Record<string, string[]>> {
  await using database = await createDatabase()
  const rows = await database.query<{ table_name: string; columns: string[] }>(`SELECT table_name,
    array_agg(column_name::text ORDER BY ordinal_position) AS columns FROM information_schema.columns WHERE table_schema = 'public' GROUP BY 1`)
  return Object.fromEntries(rows.map((row) => [row.table_name, row.columns]))
}

describe('prisma generate', () => {
  test('of Prisma 7.10 makes a client that expects the columns of the migration', async () => {
    const project = await generate(schema('provider = "prisma-client-js"'))
    expect(columns(project)).toEqual(await columnsOfMigration())
  })

  test('of Prisma 7.10 with the generator prisma-client makes the five models', async () => {
    const project = await generate(schema('provider = "prisma-client"'))
    const models = Object.keys(project.files()).filter((name) => name.startsWith('generated/models/'))
    expect(models).toEqual(
      ['Outbox', 'OutboxBatch', 'OutboxDeadLetter', 'OutboxLease', 'OutboxRelay'].map((name) => `generated/models/${name}.ts`),
    )
  })

  test('of Prisma 6.19 with the client engine makes a client that expects the columns of the migration', async () => {
    const head = schema('provider = "prisma-client-js"\n  engineType = "client"', 'url = env("DATABASE_URL")')
    const project = await generate(head, {}, await prisma6())
    expect(columns(project)).toEqual(await columnsOfMigration())
  })

  test('takes another name for the message model, and a PostgreSQL schema', async () => {
    const head = schema('provider = "prisma-client"', 'schemas = ["public", "shop"]')
    const project = await generate(head, { model: 'OutboxMessage', schema: 'shop' })
    expect(Object.keys(project.files())).toContain('generated/models/OutboxMessage.ts')
  })
})

test("prisma format leaves the fragment as it is, so that a user's editor does not make it look out of date", async () => {
  const own = fragment({ model: 'OutboxMessage', schema: 'shop', inbox: true })
  const project = createProject({
    'prisma/schema.prisma': `${schema('provider = "prisma-client"', 'schemas = ["shop"]')}\n${own}`,
  })
  opened.push(project)
  const { code } = await project.prisma(['format'])
  expect(code).toBe(0)
  expect(project.read('prisma/schema.prisma')).toContain(own)
})
