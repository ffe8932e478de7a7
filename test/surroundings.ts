import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { startServers } from './support/servers.ts'
import { isSurrounding, type Surrounding, surroundings } from './support/surroundings.ts'

/**
 * `npm run test:surroundings [-- NAME … FILE …]` [command]: runs the tests of faults, relay and store (or the files named) on databases
 * whose default isolation is SERIALIZABLE, in the time zone Asia/Kolkata, and through PgBouncer in transaction mode (or those named).
 * Prints a line for each and the tests that failed; ends with 1 where one did, or where none ran.
 */
const root = fileURLToPath(new URL('..', import.meta.url))
const words = process.argv.slice(2)
const named = words.filter(isSurrounding)
const files = words.filter((word) => !isSurrounding(word))
const chosen = files.length > 0 ? files : ['test/proof', 'test/relay', 'test/store']
const servers = await startServers()
let sound = true
try {
  for (const one of named.length > 0 ? named : surroundings) sound = (await runIn(one)) && sound
} finally {
  await servers.stop()
}
process.exit(sound ? 0 : 1)

async function runIn(surrounding: Surrounding): Promise<boolean> {
  const dir = await mkdtemp(join(tmpdir(), 'outbox-surroundings-'))
  const report = join(dir, 'report.json')
  await vitest(surrounding, report)
  const { testResults } = JSON.parse(await readFile(report, 'utf8')) as Report
  await rm(dir, { recursive: true })
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
  const failed = tests.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName)
  // A file that could not even be loaded has no tests, and would count as nothing.
  const broken = testResults.filter(({ status, assertionResults }) => status === 'failed' && assertionResults.length === 0)
  const passed = tests.filter(({ status }) => status === 'passed').length
  const wrong = [...failed, ...broken.map(({ name, message }) => `${name}: ${message}`)]
  console.log(`${surrounding}: ${passed} passed, ${wrong.length} failed, ${tests.length - passed - failed.length} skipped`)
  for (const name of wrong) console.log(`  failed: ${name}`)
  return wrong.length === 0 && passed > 0
}

interface Report {
  testResults: { name: string; status: string; message: string; assertionResults: { status: string; fullName: string }[] }[]
}

function vitest(surrounding: Surrounding, report: string): Promise<void> {
  const env = {
    ...process.env,
    DATABASE_URL: servers.databaseUrl,
    KAFKA_BROKERS: servers.brokers,
    OUTBOX_TEST_DATABASE: surrounding,
    ...(surrounding === 'kolkata' ? { TZ: 'Asia/Kolkata' } : {}),
  }
  // Not through npx, whose shell would read the pattern's signs as its own.
  const args = [
    join(root, 'node_modules/vitest/vitest.mjs'),
    'run',
    ...chosen,
    '--typecheck.enabled=false',
    '--reporter=json',
    `--outputFile=${report}`,
  ]
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'ignore', 'inherit'] })
  return new Promise((resolve, reject) => child.once('error', reject).once('exit', () => resolve()))
}
