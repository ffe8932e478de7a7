import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { version } from '../../src/version.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const file = (path: string) => readFileSync(`${root}/${path}`, 'utf8')
const manifest = JSON.parse(file('package.json')) as Record<
  'dependencies' | 'devDependencies' | 'scripts',
  Record<string, string>
> & { version: string }

interface Lock {
  packages: Record<string, { dev?: boolean; devOptional?: boolean; hasInstallScript?: boolean; resolved?: string }>
}
/** What an installation of the package brings along. */
const shipped = Object.entries((JSON.parse(file('package-lock.json')) as Lock).packages).filter(
  ([path, one]) => path.startsWith('node_modules/') && !one.dev && !one.devOptional,
)

test('the bill of materials names every package that is shipped, and none that only builds or tests it', () => {
  const run = (command: string) =>
    execFileSync('/bin/sh', ['-c', command], { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
  const bill = JSON.parse(run(manifest.scripts.sbom!)) as { components: { 'bom-ref': string }[] }
  // What npm itself would install for a user. Dependencies of peers are left out by name: npm lists them below the package.
  const installed = run('npm ls --omit=dev --omit=peer --all --parseable --long || true')
  const named = [...installed.matchAll(/node_modules\/.*:((?:@[\w-]+\/)?[\w.-]+@[\d.]+)/g)].map(([, name]) => name)
  expect(named.length).toBeGreaterThan(20)
  for (const name of Object.keys(manifest.dependencies)) expect(named.join()).toContain(`${name}@`)
  expect(bill.components.map((one) => one['bom-ref']).sort()).toEqual([...new Set(named)].sort())
})

test('the version in the source, which bundles have, is that of package.json', () => {
  expect(version).toBe(manifest.version)
})

test('nothing that is shipped runs a script when it is installed', () => {
  expect(shipped.length).toBeGreaterThan(20)
  expect(shipped.filter(([, { hasInstallScript }]) => hasInstallScript)).toEqual([])
})

test('a release is published with provenance, by actions of a fixed major version, and names no registry', () => {
  const workflow = file('.github/workflows/publish.yml')
  expect(workflow).toMatch(/^ {6}id-token: write$/m)
  expect(workflow).toMatch(/run: npm publish --provenance /)
  expect(workflow).toContain('npm run --silent sbom')
  const actions = [...workflow.matchAll(/uses: (\S+)/g)].map(([, action]) => action)
  expect(actions.length).toBeGreaterThan(1)
  for (const action of actions) expect(action).toMatch(/^actions\/[\w-]+@v\d+$/)
  for (const install of workflow.match(/npm (?:ci|install).*/g)!) expect(install).toMatch(/^npm ci --ignore-scripts/)
  expect(workflow + file('package-lock.json')).not.toMatch(/registry[\w.-]*\.[a-z]{2,}/)
})

test('the image installs what a lock file says, and runs no script', () => {
  const lines = file('ops/Dockerfile')
    .split('\n')
    .filter((line) => !line.startsWith('#'))
  expect(lines.filter((line) => /npm/.test(line))).toEqual(['RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund'])
  expect(lines.indexOf('COPY package.json package-lock.json ./')).toBeGreaterThan(0)
  expect(lines.indexOf('USER node')).toBeGreaterThan(lines.findIndex((line) => line.includes('npm ci')))
})
