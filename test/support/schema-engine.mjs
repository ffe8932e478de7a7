#!/usr/bin/env node
// Prisma's schema engine for tests, without a download: the real `prisma migrate` and `prisma db push` run on it when
// PRISMA_SCHEMA_ENGINE_BINARY names this file. It speaks the JSON-RPC of the native engine (one object a line) and passes every call to
// the same engine built as WebAssembly, with @prisma/adapter-pg as its way to the database. Users have the native engine.
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils'
import * as glue from '@prisma/schema-engine-wasm/schema_engine_bg'
import pg from 'pg'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  strict: false,
  options: { datasource: { type: 'string' }, datamodels: { type: 'string', multiple: true } },
})
const url = values.datasource && new URL(JSON.parse(values.datasource).url)

if (positionals[0] === 'cli') await databaseCommand(positionals[1])
else serve(await startEngine())

/** Does by hand what the package's own entry does: Node 20 imports WebAssembly only behind a flag. */
async function startEngine() {
  const file = createRequire(import.meta.url)
    .resolve('@prisma/schema-engine-wasm')
    .replace(/\.js$/, '_bg.wasm')
  const { instance } = await WebAssembly.instantiate(readFileSync(file), { './schema_engine_bg.js': glue })
  globalThis.PRISMA_WASM_PANIC_REGISTRY = { set_message: logError }
  glue.__wbg_set_wasm(instance.exports)
  instance.exports.__wbindgen_start()
  const datamodels = values.datamodels?.map((path) => [path, readFileSync(path, 'utf8')])
  return glue.SchemaEngine.new({ datamodels }, () => {}, bindMigrationAwareSqlAdapterFactory(adapterFactory()))
}

function serve(engine) {
  const say = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: '2.0', ...message })}\n`)
  createInterface({ input: process.stdin }).on('line', async (line) => {
    const { id, method, params = {} } = JSON.parse(line)
    if (!method) return
    try {
      const result = (await engine[method === 'getDatabaseVersion' ? 'version' : method](params)) ?? {}
      // The native engine has a diff printed by the command line tool, which ignores the text in the answer.
      if (method === 'diff' && result.stdout) say({ id: `print-${id}`, method: 'print', params: { content: result.stdout } })
      say({ id, result })
    } catch (error) {
      logError(error.stack)
      const data = { is_panic: false, message: error.message, error_code: error.code }
      say({ id, error: { code: 4466, message: error.message, data } })
    }
  })
}

/** Subcommands `can-connect-to-database` and `create-database`; the tool skips the first line of what they log. */
async function databaseCommand(command) {
  try {
    if (command === 'create-database') await atServer(url, 'CREATE DATABASE')
    else await (await connect(url)).executeScript('SELECT 1')
    process.exit(0)
  } catch (error) {
    process.stderr.write('\n')
    logError(error.message, error.cause?.kind === 'DatabaseDoesNotExist' || error.code === '3D000' ? 'P1003' : 'P1001')
    process.exit(1)
  }
}

function logError(message, error_code) {
  const entry = { level: 'ERROR', target: 'schema_engine::logger', fields: { message: String(message), error_code } }
  process.stderr.write(`${JSON.stringify(entry)}\n`)
}

function adapterFactory() {
  return { provider: 'postgres', adapterName: '@prisma/adapter-pg', connect: () => connect(url), connectToShadowDb }
}

async function connect(target) {
  // Prisma takes the PostgreSQL schema from the URL, `pg` does not.
  const schema = target.searchParams.get('schema') ?? 'public'
  const config = { connectionString: target.href, options: `-c search_path="${schema}"` }
  return extended(await new PrismaPg(config, { schema }).connect())
}

/** The adapter's own would connect to the main database (its URL wins), and drop the shadow with its pool still in it. */
async function connectToShadowDb() {
  const shadow = new URL(url)
  shadow.pathname = `/shadow_${randomUUID()}`
  await atServer(shadow, 'CREATE DATABASE')
  const connection = await connect(shadow)
  const dispose = connection.dispose.bind(connection)
  connection.dispose = async () => {
    await dispose()
    await atServer(shadow, 'DROP DATABASE')
  }
  return connection
}

async function atServer(target, statement) {
  const maintenance = new URL(target)
  maintenance.pathname = '/postgres'
  const client = new pg.Client({ connectionString: maintenance.href })
  await client.connect()
  const name = pg.escapeIdentifier(decodeURIComponent(target.pathname.slice(1)))
  await client.query(`${statement} ${name}`).finally(() => client.end())
}

/** The adapter is made for an application's queries and lacks two things that migrations need. */
function extended(connection) {
  const performIO = connection.performIO.bind(connection)
  const queryRaw = connection.queryRaw.bind(connection)
  // The catalog has columns of the internal type "char" (18). The adapter refuses them, so it is shown bpchar (1042), and the engine
  // is told afterwards that they are characters. The engine has one query outstanding, so one variable is enough.
  let types = []
  connection.performIO = async (query) => {
    const result = await performIO(query)
    types = result.fields.map((field) => field.dataTypeID)
    for (const field of result.fields) if (field.dataTypeID === 18) field.dataTypeID = 1042
    return result
  }
  connection.queryRaw = async (query) => {
    const result = await queryRaw(query)
    result.columnTypes = result.columnTypes.map((type, i) => (types[i] === 18 ? ColumnTypeEnum.Character : type))
    return result
  }
  // It cuts a script at every semicolon, also inside strings and comments; the server knows better.
  connection.executeScript = async (script) => {
    await connection.underlyingDriver().query(script)
  }
  return connection
}
