import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Command } from 'commander'
import { judgeSpace } from '../doctor/contract-space.ts'
import { judgeDatabase } from '../doctor/database.ts'
import { judgeDeduplication, untriedDeduplication } from '../doctor/exactly-once.ts'
import { judgeKafka, judgeKafkaEncryption } from '../doctor/kafka.ts'
import { judgePrisma, judgePrisma8 } from '../doctor/project.ts'
import { examineCluster } from '../doctor/questions/examine-cluster.ts'
import { type DatabaseFacts, examineDatabase } from '../doctor/questions/examine-database.ts'
import { tryDeduplication } from '../doctor/questions/try-deduplication.ts'
import { judgeOthers, judgeRelays } from '../doctor/relays.ts'
import { columnsIn, judgeTables } from '../doctor/tables.ts'
import { unseen, type Verdict } from '../doctor/verdict.ts'
import { counted, inOneLine } from '../ops/format.ts'
import { postgresOperator } from '../store/postgres/operator.ts'
import { tableFormats } from '../store/postgres/refusals.ts'
import type { KafkajsTransportOptions } from '../transport/kafkajs/kafkajs.ts'
import { databaseConfig, type Environment, type Flags, kafkaConfigOf, serversOf } from './config.ts'
import { exitCodes } from './exit-codes.ts'
import { migration } from './fragment.ts'
import { given } from './given.ts'
import { prismaHelp } from './help.ts'
import { print, printJson } from './print.ts'
import { prisma8Project } from './prisma8-project.ts'
import { loadClients, rollbackVerdicts } from './rollback.ts'
import { addDatabaseFlags, addFlags, addKafkaFlags, modeGroup } from './settings.ts'

/** The command `doctor`. */
export function doctorCommand(): Command {
  const command = new Command('doctor')
    .description('Check database, tables, relays and Kafka: what is wrong, why it matters, and how to fix it')
    .option('--client <path>', 'Module that exports your Prisma client: test that its transactions roll back')
    .option('--json', 'As JSON, for scripts')
  addFlags(addKafkaFlags(addDatabaseFlags(command)), modeGroup, 'Relay').action(async (flags: Flags) => {
    const verdicts = await examined(flags, process.env, process.cwd())
    if (flags.json === true) printJson(verdicts)
    else print(verdictsText(verdicts))
    if (verdicts.some(({ level }) => level === 'failure')) process.exitCode = exitCodes.failed
  })
  return prismaHelp(command, [
    ['Everything', ''],
    ['Also test that transactions of the client roll back, with all its extensions', '--client src/db.ts'],
    ['Also test that the brokers take a batch once that is sent twice', '--exactly-once'],
    ['For a script: what failed', `--json | jq '.[] | select(.level == "failure")'`],
  ])
}

/** All checks, in the order in which one thing needs another; `folder` is that of the application. */
export async function examined(flags: Flags, env: Environment, folder: string): Promise<Verdict[]> {
  const where = databaseConfig(flags, env)
  const clients = flags.client === undefined ? undefined : await loadClients(String(flags.client), folder)
  const facts = await examineDatabase(where)
  return [
    ...judgeDatabase(facts),
    ...judgeTables(facts, columnsIn(migration({ tablePrefix: facts.set.prefix }))),
    ...(await relayVerdicts(where, flags, env, facts)),
    judgeOthers(facts.others),
    ...(await kafkaVerdicts(flags, env, facts)),
    ...prismaVerdicts(folder, facts),
    ...(await rollbackVerdicts({ databaseUrl: where.databaseUrl, set: facts.set }, clients)),
  ]
}

async function relayVerdicts(
  where: ReturnType<typeof databaseConfig>,
  flags: Flags,
  env: Environment,
  { leases }: DatabaseFacts,
): Promise<Verdict[]> {
  const requestMs = given(flags, env).read('requestTimeoutMs') ?? null
  try {
    const operator = await postgresOperator(where)
    try {
      const times = { leaseMs: leases?.leaseMs ?? null, requestMs }
      return judgeRelays(await operator.status(), times, serversOf(flags, env))
    } finally {
      operator.close()
    }
  } catch (error) {
    return [
      unseen(
        'relays',
        `They cannot be asked for: ${(error as Error).message}`,
        'Nobody may be publishing.',
        'Fix what is named above.',
      ),
    ]
  }
}

async function kafkaVerdicts(flags: Flags, env: Environment, { topics, leases }: DatabaseFacts): Promise<Verdict[]> {
  if (flags.kafkaBrokers === undefined && !env.KAFKA_BROKERS) {
    return [unseen('kafka', 'No brokers are given.', 'Kafka is not checked.', 'Set KAFKA_BROKERS, or give --kafka-brokers.')]
  }
  const names = (topics ?? []).map(({ topic }) => topic)
  const kafka = kafkaConfigOf(flags, env)
  const encryption = judgeKafkaEncryption(kafka)
  // What a relay refuses to send, a doctor does not send either.
  if (encryption.level === 'failure') return [encryption]
  const cluster = await examineCluster(kafka, names)
  const once = cluster.trouble ? [] : await exactlyOnceVerdicts(flags, env, { kafka, format: leases?.format ?? null })
  return [encryption, ...judgeKafka(cluster, topics, serversOf(flags, env)), ...once]
}

/** The brokers are tried on request only: it makes a topic. */
async function exactlyOnceVerdicts(
  flags: Flags,
  env: Environment,
  { kafka, format }: { kafka: KafkajsTransportOptions; format: number | null },
): Promise<Verdict[]> {
  if (given(flags, env).read('exactlyOnce')) return judgeDeduplication(await tryDeduplication(kafka))
  return format === tableFormats.exactlyOnce ? [untriedDeduplication()] : []
}

function prismaVerdicts(folder: string, { set, tables }: DatabaseFacts): Verdict[] {
  const project = prisma8Project(folder)
  if (!project) return [judgePrisma(installedVersion(folder, '@prisma/client'))]
  const there = tables.map(({ name }) => name)
  return [judgePrisma8(installedVersion(folder, '@prisma/orm-postgres')), judgeSpace(project, set, there)]
}

/** Version of a package that an application in the folder would load. */
function installedVersion(folder: string, name: string): string | undefined {
  try {
    return (createRequire(join(folder, 'package.json'))(`${name}/package.json`) as { version: string }).version
  } catch {
    return undefined
  }
}

const marks = { ok: '✓', warning: '!', failure: '✗', unseen: '?' } as const

/** The verdicts for people: what is well in one line, the rest with reason and remedy. */
function verdictsText(verdicts: readonly Verdict[]): string {
  const count = (level: Verdict['level']) => verdicts.filter((verdict) => verdict.level === level).length
  const shown = verdicts.map(({ check, level, finding, why, fix }) => {
    const first = inOneLine(`${marks[level]} ${check}: ${finding}`)
    return level === 'ok' ? first : `${first}\n    Why: ${inOneLine(why)}\n    Fix: ${inOneLine(fix)}`
  })
  const [warnings, failures] = [counted(count('warning'), 'warning'), counted(count('failure'), 'failure')]
  const sum = `${count('ok')} ok, ${warnings}, ${failures}, ${count('unseen')} not to be seen from here.`
  return [...shown, '', sum].join('\n')
}
