import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { OutboxError } from '../message/errors.ts'

/** A file of a Prisma schema. */
export interface SchemaFile {
  /** Absolute path. */
  path: string
  text: string
}

/** What `init` has to know about a user's Prisma project. */
export interface PrismaProject {
  /** Every file of the schema: one, or all of a schema folder. */
  files: SchemaFile[]
  /** The schema folder; undefined where the schema is a single file. */
  folder: string | undefined
  /** Absolute path of the migrations folder, which need not exist. */
  migrationsPath: string
  /** PostgreSQL schemas that the datasource lists. Empty: it lists none. */
  schemas: string[]
}

/** Where to look. */
export interface ProjectOptions {
  /** Folder of the project: the one with prisma.config.ts or package.json. */
  cwd: string
  /** Schema file or folder, relative to `cwd`. Default: what prisma.config.ts says, else Prisma's own places. */
  schemaPath?: string | undefined
  /** Migrations folder, relative to `cwd`. Default: what prisma.config.ts says, else `migrations` beside the schema. */
  migrationsPath?: string | undefined
}

/** Prisma's own order, with the folder that its documentation uses for a schema of several files as the last. */
const usualPlaces = ['schema.prisma', 'prisma/schema.prisma', 'prisma/schema']

/** Prisma's own order (@prisma/config 7.10, loadConfigFromFile). `prisma init` of 7.10 writes the first. */
const configFiles = ['prisma7.config', '.config/prisma7', 'prisma.config', '.config/prisma', '.config/prisma.config']

/** Finds and reads a Prisma project; `OUTBOX_PRISMA_PROJECT` where there is none, or none for PostgreSQL. */
export function readProject({ cwd, ...flags }: ProjectOptions): PrismaProject {
  const config = readConfig(cwd, flags)
  const path = config.schemaPath ?? usualPlaces.find((place) => existsSync(join(cwd, place)))
  if (!path || !existsSync(resolve(cwd, path))) {
    const where = path ?? usualPlaces.join(', ')
    throw new OutboxError('PRISMA_PROJECT', `No Prisma schema was found at ${where}.`, {
      remedy: hasPrisma8(cwd)
        ? 'A project of Prisma 8 has a prisma.config.ts: run this in its folder, or create it with "npx prisma orm init".'
        : 'Run this in the folder of your Prisma project, or name the schema file or folder with --schema-path.',
    })
  }
  const absolute = resolve(cwd, path)
  const folder = statSync(absolute).isDirectory() ? absolute : undefined
  const files = folder ? schemaFiles(folder) : [{ path: absolute, text: readFileSync(absolute, 'utf8') }]
  const migrations = config.migrationsPath ?? join(folder ?? dirname(absolute), 'migrations')
  return { files, folder, migrationsPath: resolve(cwd, migrations), schemas: datasourceSchemas(files, relative(cwd, absolute)) }
}

/** Text with blanks for its comments; strings, which may hold `//`, stay as they are. Serves TypeScript and Prisma. */
export function withoutComments(text: string): string {
  const stringOrComment = /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/.*|\/\*[\s\S]*?\*\//g
  return text.replace(stringOrComment, (all, string) => string ?? blank(all))
}

/** Blanks of the same length and lines. */
export const blank = (text: string): string => text.replace(/[^\r\n]/g, ' ')

function schemaFiles(folder: string): SchemaFile[] {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.prisma'))
  return names.sort().map((name) => ({ path: join(folder, name), text: readFileSync(join(folder, name), 'utf8') }))
}

function datasourceSchemas(files: SchemaFile[], where: string): string[] {
  const texts = files.map((file) => withoutComments(file.text))
  const datasource = texts.map((text) => /\bdatasource\s+\w+\s*\{([^}]*)\}/.exec(text)?.[1]).find((body) => body !== undefined)
  const provider = datasource && /\bprovider\s*=\s*"([^"]*)"/.exec(datasource)?.[1]
  if (provider !== 'postgresql' && provider !== 'postgres') {
    const what = provider ? `The datasource of ${where} is ${provider}.` : `${where} has no datasource with a provider.`
    throw new OutboxError('PRISMA_PROJECT', what, { remedy: 'The outbox needs provider = "postgresql".' })
  }
  const list = /\bschemas\s*=\s*\[([^\]]*)\]/.exec(datasource!)?.[1] ?? ''
  return [...list.matchAll(/"([^"]*)"/g)].map((match) => match[1]!)
}

/** Paths by flags, then by the text of prisma.config.ts (it is not run: it may need a database URL), then by package.json (Prisma 6). */
function readConfig(cwd: string, flags: Omit<ProjectOptions, 'cwd'>): Omit<ProjectOptions, 'cwd'> {
  const places = configFiles.flatMap((stem) => ['js', 'ts', 'mjs', 'cjs', 'mts', 'cts'].map((end) => `${stem}.${end}`))
  const place = places.find((name) => existsSync(join(cwd, name)))
  if (!place) return { schemaPath: flags.schemaPath ?? packageSchema(cwd), migrationsPath: flags.migrationsPath }
  const text = withoutComments(readFileSync(join(cwd, place), 'utf8'))
  const migrations = /\bmigrations["']?\s*:\s*\{([\s\S]*)/.exec(text)?.[1]?.replace(/\}[\s\S]*/, '}') ?? ''
  // Prisma takes the paths as relative to the config file.
  const literal = (key: string, source: string, flag: string) => {
    const value = pathLiteral(key, source, place, flag)
    return value && join(dirname(place), value)
  }
  return {
    schemaPath: flags.schemaPath ?? literal('schema', text, '--schema-path') ?? adoptedSchema(text, place),
    migrationsPath: flags.migrationsPath ?? literal('path', migrations, '--migrations-path'),
  }
}

/** The schema of Prisma 7 that a configuration of Prisma 8 reads. */
function adoptedSchema(text: string, place: string): string | undefined {
  const path = /\bprisma7Schema\(\s*(["'])([^"'\n]+)\1/.exec(text)?.[2]
  return path && join(dirname(place), path)
}

/** Value of `key: 'a/b'` or `key: path.join('a', 'b')`; undefined without the key, an error where the value has to be computed. */
function pathLiteral(key: string, source: string, place: string, flag: string): string | undefined {
  const value = new RegExp(`(?<![\\w.])["']?${key}["']?\\s*:\\s*([\\s\\S]*)`).exec(source)?.[1]
  if (value === undefined) return undefined
  const plain = /^(["'`])([^"'`$]+)\1\s*[,}]/.exec(value)?.[2]
  if (plain) return plain
  const joined = /^(?:path\.)?join\(((?:\s*(?:"[^"]*"|'[^']*')\s*,?)+)\)\s*[,}]/.exec(value)?.[1]
  if (joined) return join(...[...joined.matchAll(/["']([^"']*)["']/g)].map((match) => match[1]!))
  throw new OutboxError('PRISMA_PROJECT', `"${key}" in ${place} is not a plain string.`, {
    remedy: `Name the path with ${flag}.`,
  })
}

const packageSchema = (cwd: string): string | undefined => packageJson(cwd).prisma?.schema

function hasPrisma8(cwd: string): boolean {
  const { dependencies, devDependencies } = packageJson(cwd)
  return '@prisma/orm-postgres' in { ...dependencies, ...devDependencies }
}

interface PackageJson {
  prisma?: { schema?: string }
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
}

function packageJson(cwd: string): PackageJson {
  const file = join(cwd, 'package.json')
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
}
