import { spawn } from 'node:child_process'
import { cp, mkdir, readFile, rm, symlink, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { buildIfStale } from '../support/build.ts'
import { applyEdits } from '../support/edits.ts'
import { generateClients } from '../support/generate.ts'
import { kafkaJars } from '../support/kafka.ts'
import { startServers } from '../support/servers.ts'
import { type TakenOut, takenOut } from './rules.ts'

/**
 * `npm run rules [-- N …]`: takes each part of the rules (or of those named) out of a copy of the sources and runs the tests that
 * must notice. Ends with 1 where they do not. `--interleavings`: the random interleavings of the relay must notice, where they can.
 */
const root = fileURLToPath(new URL('../..', import.meta.url))
const { values, positionals } = parseArgs({ allowPositionals: true, options: { interleavings: { type: 'boolean' } } })
const named = takenOut.filter(({ rule }) => positionals.length === 0 || positionals.includes(String(rule)))
const inTheCore = ({ edits }: TakenOut) => edits.every(({ file }) => file.startsWith('relay/'))
const interleaved = { file: 'relay/interleavings.test.ts', tests: 'nothing overtakes its key' }
const chosen = values.interleavings ? named.filter(inTheCore).map((one) => ({ ...one, ...interleaved })) : named
await Promise.all([buildIfStale(), generateClients()])
const servers = await startServers()
let unseen = 0
try {
  for (const [i, one] of chosen.entries()) {
    const failed = await failures(one, i)
    if (failed.length === 0) unseen++
    console.log(
      `${failed.length > 0 ? 'seen  ' : 'UNSEEN'}  rule ${one.rule}: without it ${one.without}: ${failed[0] ?? one.tests}`,
    )
  }
} finally {
  await servers.stop()
}
console.log(`${chosen.length - unseen} of ${chosen.length} parts of the rules are seen to be missing`)
process.exit(unseen === 0 ? 0 : 1)

/** Names of the tests that fail without the rule. */
async function failures({ rule, edits, file, tests }: TakenOut, i: number): Promise<string[]> {
  const copy = join(root, '.cache', 'rules', `${rule}.${i}`)
  await copyProject(copy)
  await applyEdits(join(copy, 'src'), edits, `rule ${rule}`)
  // The program that tests start is the sound one: it need not be built for each rule.
  await utimes(join(copy, 'dist', 'cli', 'main.js'), new Date(), new Date())
  const report = join(copy, 'report.json')
  await vitest(copy, file, tests, report)
  const { testResults } = JSON.parse(await readFile(report, 'utf8')) as {
    testResults: { message: string; assertionResults: { status: string; fullName: string }[] }[]
  }
  const all = testResults.flatMap(({ assertionResults }) => assertionResults)
  const ran = all.filter(({ status }) => status === 'passed' || status === 'failed')
  if (ran.length === 0) throw new Error(`No test of ${file} is called "${tests}". ${testResults[0]?.message ?? ''}`)
  await rm(copy, { recursive: true })
  return ran.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName)
}

async function copyProject(copy: string): Promise<void> {
  await rm(copy, { recursive: true, force: true })
  await mkdir(copy, { recursive: true })
  const sound = [
    'src',
    'test',
    'dist',
    'prisma',
    'examples',
    'ops',
    'package.json',
    'tsconfig.json',
    'tsconfig.build.json',
    'vitest.config.ts',
  ]
  const preserveTimestamps = true
  for (const name of sound)
    await cp(join(root, name), join(copy, name), { recursive: true, preserveTimestamps, verbatimSymlinks: true })
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'))
}

async function vitest(copy: string, file: string, tests: string, report: string): Promise<void> {
  const escaped = tests.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const program = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const flags = [
    '--root',
    copy,
    '--typecheck.enabled=false',
    '--reporter=json',
    `--outputFile=${report}`,
    '--testTimeout=25000',
    '-t',
    escaped,
  ]
  const { databaseUrl, brokers } = servers
  const env = { ...process.env, DATABASE_URL: databaseUrl, KAFKA_BROKERS: brokers, KAFKA_LIBS: await kafkaJars() }
  const child = spawn(process.execPath, [program, 'run', ...flags, `test/${file}`], { cwd: copy, env, stdio: 'ignore' })
  await new Promise((resolve) => child.once('exit', resolve))
}
