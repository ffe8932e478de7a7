import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'

const src = fileURLToPath(new URL('../../src/', import.meta.url))
const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  peerDependencies: Record<string, string>
}
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.replaceAll('\\', '/'))
  .sort()

interface Import {
  /** Path below src, or name of a package. */
  to: string
  own: boolean
  /** Left out by the compiler. */
  typesOnly: boolean
  /** Loaded by import(), when it is needed. */
  late: boolean
}

/** What a file imports, exports from another, or loads by import(). */
function importsOf(file: string): Import[] {
  const source = ts.createSourceFile(file, readFileSync(join(src, file), 'utf8'), ts.ScriptTarget.ES2023, true)
  const found: Import[] = []
  const add = (specifier: ts.Node | undefined, typesOnly: boolean, late = false) => {
    if (!specifier || !ts.isStringLiteralLike(specifier)) return
    const own = specifier.text.startsWith('.')
    found.push({ to: own ? relative(src, join(src, dirname(file), specifier.text)) : specifier.text, own, typesOnly, late })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) add(node.moduleSpecifier, node.importClause?.isTypeOnly ?? false)
    if (ts.isExportDeclaration(node)) add(node.moduleSpecifier, node.isTypeOnly)
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal, true)
    if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) add(node.arguments[0], false, true)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** Stages of a message's way, what relay and consumer run on, and what each may know of. A path is that file only: the ports. */
const knows: Record<string, string[]> = {
  message: [],
  running: [],
  events: ['message/'],
  prisma: ['message/', 'version.ts'],
  enqueue: ['message/', 'events/', 'prisma/'],
  store: ['message/', 'running/'],
  transport: ['message/', 'running/'],
  relay: ['message/', 'running/', 'store/store.ts', 'store/operator.ts', 'transport/transport.ts'],
  inbox: [
    'message/',
    'events/',
    'prisma/',
    'enqueue/',
    'running/',
    'transport/kafkajs/errors.ts',
    'transport/kafkajs/topic-id.ts',
    'transport/kafkajs/guarded-kafka.ts',
  ],
  ops: ['message/', 'running/', 'store/', 'transport/', 'relay/', 'inbox/telemetry.ts', 'version.ts'],
  doctor: ['message/', 'running/', 'prisma/', 'enqueue/', 'store/', 'transport/', 'ops/format.ts', 'ops/trouble.ts'],
  'schema-compat': ['message/', 'events/'],
  testing: ['message/', 'events/', 'prisma/', 'enqueue/', 'store/', 'transport/', 'relay/'],
  nestjs: ['message/', 'events/', 'inbox/', 'ops/liveness.ts', 'relay/relay.ts'],
  proof: ['message/', 'running/', 'store/', 'transport/'],
  cli: [''],
}

/** Files beside the folders: entries of the package, and its version. */
const entries: Record<string, string[]> = {
  'index.ts': ['enqueue/', 'events/', 'message/'],
  'embed.ts': ['message/', 'store/', 'transport/', 'relay/', 'running/', 'ops/remedy-of.ts', 'ops/trouble.ts', 'version.ts'],
  'prisma8.ts': ['enqueue/', 'prisma/'],
  'version.ts': [],
}

describe('direction of imports', () => {
  test('every folder and every file beside them has its rule', () => {
    const names = new Set(files.map((file) => (file.includes('/') ? file.split('/')[0]! : file)))
    expect([...names].sort()).toEqual([...Object.keys(knows), ...Object.keys(entries)].sort())
  })

  test.each(files)('%s imports only what its place on the way allows', (file) => {
    const folder = file.split('/')[0]!
    const allowed = file.includes('/') ? [`${folder}/`, ...knows[folder]!] : entries[file]!
    const strangers = importsOf(file).filter(({ own, to }) => own && !allowed.some((place) => to.startsWith(place)))
    expect(strangers.map(({ to }) => to)).toEqual([])
  })

  test.each(files.filter((file) => /^(?:message|events|prisma|enqueue)\//.test(file)))(
    '%s imports no package, not even for types',
    (file) => {
      const packages = importsOf(file).filter(({ own, to }) => !own && !isBuiltin(to))
      expect(packages.map(({ to }) => to)).toEqual([])
    },
  )

  test.each(files.filter((file) => file.startsWith('relay/')))('%s knows no database and no Kafka client', (file) => {
    const packages = importsOf(file).filter(({ own, to }) => !own && !isBuiltin(to) && to !== 'zod')
    expect(packages.map(({ to }) => to)).toEqual([])
  })
})

describe('what an entry of the package loads', () => {
  test("the application's loads neither pg nor a Kafka client nor @prisma/client: nothing but Node itself", () => {
    expect(packagesOf('index.ts')).toEqual([])
  })

  test("the one of Prisma 8 loads nothing of Prisma: its users' clients have all that it needs", () => {
    expect(packagesOf('prisma8.ts')).toEqual([])
  })

  test('the one for tests loads neither', () => {
    expect(packagesOf('testing/index.ts')).toEqual([])
  })

  test("the consumers' one loads no package: client and consumer are those that it is given", () => {
    expect(packagesOf('inbox/index.ts')).toEqual([])
  })

  test("the one for watching loads pg, pino and prom-client, and no Kafka client: a program's own relay brings that", () => {
    expect(packagesOf('ops/index.ts')).toEqual(['pg', 'pino', 'prom-client'])
  })

  test("the one for NestJS loads Nest, no database and no Kafka client: the application's own relay and client bring these", () => {
    expect(packagesOf('nestjs/index.ts')).toEqual(['@nestjs/common', '@nestjs/core'])
  })

  test.each([
    ['main', ['commander', 'pino', 'zod']],
    ['healthcheck', ['commander', 'pino', 'zod']],
    ['status', ['commander', 'pg', 'pino', 'zod']],
  ])('the command line, %s, loads %o: a probe runs every few seconds', (name, packages) => {
    expect(packagesOf(`cli/${name}.ts`)).toEqual(packages)
  })

  test('the graph is followed to its end: the relay loads pg and kafkajs', () => {
    expect(packagesOf('embed.ts')).toEqual(['kafkajs', 'pg', 'zod'])
  })

  test('an optional package is loaded by its name in a variable alone: a bundler would follow a literal import()', () => {
    const names = Object.keys(manifest.peerDependencies).filter((name) => !/^@(?:prisma|nestjs)\//.test(name))
    expect(names).toContain('@platformatic/kafka')
    const optional = files.flatMap((file) => importsOf(file).filter(({ to }) => names.includes(to)))
    expect(optional.length).toBeGreaterThan(3)
    expect(optional.filter(({ typesOnly }) => !typesOnly)).toEqual([])
  })

  test('import.meta, which a bundle of CommonJS lacks, stands in one file that an entry loads, with what is used instead', () => {
    const reached = [
      'index.ts',
      'embed.ts',
      'inbox/index.ts',
      'ops/index.ts',
      'testing/index.ts',
      'nestjs/index.ts',
      'prisma8.ts',
    ].flatMap((entry) => [...graphOf(entry)])
    const using = [...new Set(reached)].filter((file) => readFileSync(join(src, file), 'utf8').includes('import.meta'))
    expect(using).toEqual(['running/optional-package.ts'])
  })
})

/** Files that are loaded, directly or not, when a file is, or later by an import(). */
function graphOf(entry: string, seen = new Set<string>()): Set<string> {
  if (seen.has(entry)) return seen
  seen.add(entry)
  for (const { to, own, typesOnly } of importsOf(entry)) if (own && !typesOnly) graphOf(to, seen)
  return seen
}

/** Packages that are loaded, directly or not, when a file is; not those that wait for an import(). */
function packagesOf(entry: string): string[] {
  const seen = new Set<string>()
  const packages = new Set<string>()
  const follow = (file: string): void => {
    if (seen.has(file)) return
    seen.add(file)
    for (const { to, own, typesOnly, late } of importsOf(file)) {
      if (typesOnly || late) continue
      if (own) follow(to)
      else if (!isBuiltin(to)) packages.add(/^(?:@[^/]+\/)?[^/]+/.exec(to)![0])
    }
  }
  follow(entry)
  return [...packages].sort()
}

function isBuiltin(name: string): boolean {
  return builtinModules.includes(name.replace(/^node:/, ''))
}
