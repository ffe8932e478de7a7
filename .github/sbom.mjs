// `npm run sbom`: the bill of materials of what an installation of this package brings along, in CycloneDX. `npm sbom --omit dev` leaves out
// packages that are also a peer of something that only builds or tests, pg and jiti among them: the lock file decides instead.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'))
const shipped = new Set(
  Object.entries(packages)
    .filter(([path, { dev, devOptional, peer }]) => path !== '' && !dev && !devOptional && !peer)
    .map(([path, { version }]) => `${path.split('node_modules/').at(-1)}@${version}`),
)
const output = execFileSync('npm', ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'], {
  encoding: 'utf8',
  maxBuffer: 100_000_000,
})
const bill = JSON.parse(output)
const root = bill.metadata.component['bom-ref']
// The folder's name, otherwise.
bill.metadata.component.name = packages[''].name
bill.components = bill.components.filter(({ 'bom-ref': ref }) => shipped.has(ref))
bill.dependencies = bill.dependencies
  .filter(({ ref }) => ref === root || shipped.has(ref))
  .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => shipped.has(one)) }))
console.log(JSON.stringify(bill, null, 2))
