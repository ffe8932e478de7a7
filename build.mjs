// Builds the package into dist/ (ES modules) and dist/cjs/ (CommonJS, the entries without the command line). Run by `npm run build`, and by
// tests when a source is newer. `node build.mjs version` writes src/version.ts only: npm runs it when the version changes.
import { execFileSync } from 'node:child_process'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = import.meta.dirname
const cjs = join(root, 'dist', 'cjs')

function writeVersion() {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const file = join(root, 'src', 'version.ts')
  const text = readFileSync(file, 'utf8')
  const next = text.replace(/'[^']*'\n$/, `'${version}'\n`)
  if (next !== text) writeFileSync(file, next)
}

const compile = (project) =>
  execFileSync(process.execPath, [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', project], {
    cwd: root,
    stdio: 'inherit',
  })

/**
 * A literal import() of an own file or of kafkajs as a require(): Jest has no other way to load late. kafkajs is its own default export. Of
 * packages that are ES modules only it stays an import().
 */
function required(whole, from) {
  const loaded = `require('${from.replace(/\.ts$/, '.js')}') as typeof import('${from}')`
  if (from.startsWith('.')) return `Promise.resolve().then(() => ${loaded})`
  return from === 'kafkajs' ? `Promise.resolve().then(() => ({ default: ${loaded} }))` : whole
}

/** A source with the few words that only ES modules have replaced. */
const asCommonJs = (text) =>
  text
    .replaceAll('import.meta.url', "typeof __filename === 'string' ? __filename : undefined")
    .replaceAll(/(?<!typeof )\bimport\('([^']+)'\)/g, required)

/** The compiler takes the format from the package.json above a file, so the sources are compiled in a folder that has its own. */
function buildCommonJs() {
  cpSync(join(root, 'src'), cjs, { recursive: true })
  writeFileSync(join(cjs, 'package.json'), '{ "type": "commonjs" }\n')
  const sources = readdirSync(cjs, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'))
  for (const name of sources) writeFileSync(join(cjs, name), asCommonJs(readFileSync(join(cjs, name), 'utf8')))
  compile('tsconfig.cjs.json')
  for (const name of sources) rmSync(join(cjs, name))
}

/** The compiler wraps the import() of a name in a function, for relative paths; behind it bundlers do not see that they must leave it alone. */
function unwrapImport(dist) {
  const file = join(dist, 'running', 'optional-package.js')
  const text = readFileSync(file, 'utf8').replace(/\bimport\(__rewriteRelativeImportExtension\((.*)\)\)/, 'import($1)')
  writeFileSync(file, text.replace(/^var __rewriteRelativeImportExtension = [\s\S]*?^};\n/m, ''))
}

writeVersion()
if (process.argv[2] !== 'version') {
  rmSync(join(root, 'dist'), { recursive: true, force: true })
  compile('tsconfig.build.json')
  buildCommonJs()
  for (const dist of [join(root, 'dist'), cjs]) unwrapImport(dist)
}
