import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** A folder of a test's own that looks like a user's project; `prisma` and `@prisma/client` are those of `modules`. */
export interface TestProject {
  path: string
  /** Writes files, by their path in the project. */
  write(files: Record<string, string>): void
  read(path: string): string
  /** Every file of the project, with its text. */
  files(): Record<string, string>
  /** Runs Prisma's own command line tool there; never rejects. */
  prisma(args: string[], databaseUrl?: string): Promise<PrismaRun>
  remove(): void
}

/** What a run of Prisma's tool left behind. */
export interface PrismaRun {
  code: number
  /** What it printed, on both streams. */
  output: string
}

/** Creates a project with the given files. */
export function createProject(files: Record<string, string>, modules: string = join(root, 'node_modules')): TestProject {
  const path = mkdtempSync(join(tmpdir(), 'outbox-project-'))
  symlinkSync(modules, join(path, 'node_modules'))
  const project: TestProject = {
    path,
    write(more) {
      for (const [name, text] of Object.entries(more)) {
        mkdirSync(dirname(join(path, name)), { recursive: true })
        writeFileSync(join(path, name), text)
      }
    },
    read: (name) => readFileSync(join(path, name), 'utf8'),
    files() {
      const names = readdirSync(path, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
      const paths = names.map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1)).sort()
      return Object.fromEntries(paths.map((name) => [name, project.read(name)]))
    },
    prisma: (args, databaseUrl) => runPrisma(path, modules, args, databaseUrl),
    remove: () => rmSync(path, { recursive: true, force: true }),
  }
  project.write(files)
  return project
}

function runPrisma(cwd: string, modules: string, args: string[], databaseUrl?: string): Promise<PrismaRun> {
  const env = {
    ...process.env,
    DATABASE_URL: databaseUrl ?? 'postgresql://localhost/none',
    // Without it the tool would download the native engine.
    PRISMA_SCHEMA_ENGINE_BINARY: join(root, 'test', 'support', 'schema-engine.mjs'),
    // Prisma 6 wants to have this one too, and with engineType = "client" never opens it.
    PRISMA_QUERY_ENGINE_LIBRARY: '/bin/true',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
    NO_COLOR: '1',
  }
  return new Promise((resolve) => {
    execFile(process.execPath, [join(modules, 'prisma', 'build', 'index.js'), ...args], { cwd, env }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code ?? 1) : 0, output: `${stdout}${stderr}` })
    })
  })
}
