import { spawn } from 'node:child_process'
import { readFile, rm, symlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { buildIfStale } from '../support/build.ts'
import { generateClients } from '../support/generate.ts'
import { kafkaJars } from '../support/kafka.ts'
import { type Servers, startServers } from '../support/servers.ts'
import { editsOf, type Mutant, mutatedCopy, type Oracle, root, type Tests } from './mutant.ts'

/** What tests need of the repository, besides node_modules. */
const tested = [
  ...['src', 'test', 'dist', 'prisma', 'examples', 'ops', 'package.json'],
  ...['tsconfig.json', 'tsconfig.build.json', 'vitest.config.ts'],
]

/** The tests that guard what is broken: run in a copy of the project, one of them must fail. */
export const testsOracle = (): Promise<Oracle> =>
  oracle(
    ({ tests }) => tests !== undefined,
    ({ tests }) => tests!,
  )

/** The random interleavings of the relay must notice what is broken in src/relay. */
export const interleavingsOracle = (): Promise<Oracle> =>
  oracle(
    (mutant) => mutant.rule !== undefined && editsOf(mutant).every(({ file }) => file.startsWith('relay/')),
    () => ({ file: 'relay/interleavings.test.ts', tests: 'nothing overtakes its key' }),
  )

async function oracle(canShow: Oracle['canShow'], testsOf: (mutant: Mutant) => Tests): Promise<Oracle> {
  await Promise.all([buildIfStale(), generateClients()])
  const servers = await startServers()
  return {
    canShow,
    mustShow: () => true,
    ask: async (name, mutant) => ({ by: await failing(name, mutant, testsOf(mutant), servers) }),
    close: () => servers.stop(),
  }
}

/** Name of the first of these tests that fails with the mutant. */
async function failing(name: string, mutant: Mutant, which: Tests, servers: Servers): Promise<string | undefined> {
  const copy = await mutatedCopy(name, mutant, tested)
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
  // The program that tests start is the sound one: it need not be built for each mutant. A Date is less exact than the time of a file.
  const later = new Date(Date.now() + 60_000)
  await utimes(join(copy, 'dist', 'cli', 'main.js'), later, later)
  const report = join(copy, 'report.json')
  await vitest(copy, which, report, servers)
  const { testResults } = JSON.parse(await readFile(report, 'utf8')) as {
    testResults: { message: string; assertionResults: { status: string; fullName: string }[] }[]
  }
  const all = testResults.flatMap(({ assertionResults }) => assertionResults)
  const ran = all.filter(({ status }) => status === 'passed' || status === 'failed')
  if (ran.length === 0) throw new Error(`No test of ${which.file} is called "${which.tests}". ${testResults[0]?.message ?? ''}`)
  await rm(copy, { recursive: true })
  return ran.find(({ status }) => status === 'failed')?.fullName
}

async function vitest(copy: string, { file, tests }: Tests, report: string, { databaseUrl, brokers }: Servers): Promise<void> {
  const escaped = tests.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const program = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const flags = ['--typecheck.enabled=false', '--reporter=json', `--outputFile=${report}`, '--testTimeout=25000', '-t', escaped]
  const env = { ...process.env, DATABASE_URL: databaseUrl, KAFKA_BROKERS: brokers, KAFKA_LIBS: await kafkaJars() }
  const args = [program, 'run', '--root', copy, ...flags, `test/${file}`]
  const child = spawn(process.execPath, args, { cwd: copy, env, stdio: 'ignore' })
  await new Promise((resolve) => child.once('exit', resolve))
}
