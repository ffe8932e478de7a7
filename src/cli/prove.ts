import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { docsUrl } from '../message/errors.ts'
import { proofKafka } from '../proof/dump.ts'
import { type Proof, type ProofPlan, type ProvedRelay, prove } from '../proof/prove.ts'
import type { Setting } from '../running/setting.ts'
import { accessOf } from '../transport/access.ts'
import { checkLogin } from '../transport/brokers.ts'
import { type Environment, type Flags, relayConfig } from './config.ts'
import { type EndingSignal, endedBy, endingSignals, exitCodes } from './exit-codes.ts'
import { migration } from './fragment.ts'
import { prismaHelp } from './help.ts'
import { print, printError, printJson } from './print.ts'
import { proofText } from './prove-text.ts'
import { count } from './selection.ts'
import { addFlags, addProofFlags, groups, modeGroup } from './settings.ts'

/** How a relay process is started: the program and its arguments. */
export type RelayProgram = readonly [program: string, ...args: string[]]

/** This package's own relay. */
const ownRelay: RelayProgram = [process.execPath, fileURLToPath(new URL('main.js', import.meta.url)), 'relay']

/** Rows that a relay of a proof has in flight: few, so that the bound of the duplicates says something. */
const maxInFlight = 500

/** Where a fault of the package is reported. */
const newIssue = docsUrl.replace(/\/blob\/.*$/, '/issues')

/** Milliseconds after which a relay that does not obey SIGTERM is killed. */
const stopMs = 12_000

/** The command `prove`. `relay` is replaced by tests, which put a broken one in. */
export function proveCommand(relay: RelayProgram = ownRelay): Command {
  const command = new Command('prove')
    .description(
      'Kill relays on your own database and Kafka, and check that no message is lost, made up or out of order, in a scratch schema and topic',
    )
    .option('--seconds <n>', 'How long transactions are written (default: 20)', count)
    .option('--kills <n>', 'How often a relay is killed meanwhile (default: 5)', count)
    .option('--partitions <n>', 'Partitions of the scratch topic (default: 6)', count)
    .option('--replication <n>', "Replicas of the scratch topic (default: the cluster's own)", count)
    .option('--seed <n>', 'Write the same transactions and kill at the same moments as the run that named this seed', count)
    .option('--json', 'The result as JSON')
  addFlags(addProofFlags(command), modeGroup, 'Relay').action(async (flags: Flags) => {
    process.exitCode = await run(flags, process.env, relay)
  })
  return prismaHelp(command, [
    ['With the database and the Kafka of the environment', ''],
    ['On a topic with three replicas', '--replication 3'],
    ['That no message comes twice, in the exactly-once mode', '--exactly-once'],
  ])
}

async function run(flags: Flags, env: Environment, program: RelayProgram): Promise<number> {
  const breakOff = new AbortController()
  for (const signal of endingSignals) process.once(signal, () => breakOff.abort(signal))
  // A terminal that was closed takes nothing any more: that must not keep it from cleaning up.
  for (const out of [process.stdout, process.stderr]) out.on('error', () => {})
  const began = performance.now()
  try {
    const plan = planOf(flags, env, program, breakOff.signal, printError)
    const proof = await prove(plan)
    if (flags.json === true) printJson(proof.judgement)
    else print(proofText(proof.history, proof.judgement))
    printError(verdict(proof, plan, performance.now() - began))
    return proof.judgement.sound && proof.leftBehind.length === 0 ? exitCodes.done : exitCodes.failed
  } catch (error) {
    if (!breakOff.signal.aborted) throw error
    printError('Broken off: nothing is proved.')
    return endedBy[breakOff.signal.reason as EndingSignal]
  }
}

function verdict({ judgement }: Proof, { seed, exactlyOnce }: ProofPlan, ms: number): string {
  const time = `${(ms / 1_000).toFixed(0)} s`
  return judgement.sound
    ? `Proved in ${time}: no message is lost or made up, and every key is in order${exactlyOnce ? ', without a second copy' : ''}.`
    : `NOT proved (${time}). Please report this output: ${newIssue} (--seed ${seed} repeats the run).`
}

function planOf(flags: Flags, env: Environment, program: RelayProgram, signal: AbortSignal, say: ProofPlan['say']): ProofPlan {
  const { databaseUrl, tablePrefix = '', kafka, exactlyOnce = false } = relayConfig(flags, env)
  checkLogin(kafka)
  const number = (name: string, otherwise: number) => (flags[name] as number | undefined) ?? otherwise
  return {
    databaseUrl,
    kafka: proofKafka({ brokers: kafka.brokers, ...accessOf(kafka), retry: { retries: 5 } }),
    name: randomBytes(5).toString('hex'),
    tablePrefix,
    migration: (schema) => migration({ schema, tablePrefix }),
    partitions: number('partitions', 6),
    replication: number('replication', -1),
    seed: number('seed', 1 + (Date.now() % 1_000_000)),
    forMs: number('seconds', 20) * 1_000,
    kills: number('kills', 5),
    emptyMs: 20_000,
    maxInFlight,
    exactlyOnce,
    startRelay: (schema, name) => startRelay(program, relayEnvironment(flags, env, schema, name)),
    signal,
    say,
  }
}

/** What was given by flags goes on in the environment: a process list shows arguments to everybody. */
function relayEnvironment(flags: Flags, env: Environment, schema: string, name: string): Environment {
  return {
    ...env,
    ...fromFlags({ ...groups.Database, ...groups.Kafka, ...modeGroup }, flags),
    OUTBOX_SCHEMA: schema,
    OUTBOX_NAME: name,
    OUTBOX_LEASE_MS: '3000',
    OUTBOX_MAX_IN_FLIGHT: String(maxInFlight),
    LOG_LEVEL: 'silent',
  }
}

/** The variables of the flags that are given; a file that the environment names for one is passed over, as for a command itself. */
function fromFlags(settings: Record<string, Setting>, flags: Flags): Environment {
  const variables = Object.entries(settings)
    .filter(([name]) => flags[name] !== undefined)
    .map(([name, { env, secret }]) => ({ [env]: String(flags[name]), ...(secret ? { [`${env}_FILE`]: undefined } : {}) }))
  return Object.assign({}, ...variables)
}

function startRelay([program, ...args]: RelayProgram, env: Environment): ProvedRelay {
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve())
    child.once('error', () => resolve())
  })
  return {
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
    async stop() {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), stopMs)
      await ended
      clearTimeout(timer)
    },
  }
}
