import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { RelayOptions } from '../../src/relay/options.ts'
import type { RelayPorts } from '../../src/relay/relay.ts'
import type { Transport } from '../../src/transport/transport.ts'
import { mutantNamed } from '../mutants/list.ts'
import { TraceFile } from './trace-file.ts'
import { Watcher } from './watched.ts'

/** The relay under torture, in a process of its own: the real relay, store and transport, watched at their ports. */

/** Environment of the program. */
export interface RelayEnvironment {
  DATABASE_URL: string
  KAFKA_BROKERS: string
  /** File for the trace; it is appended to. */
  TRACE_FILE: string
  /** File for what the relay tells, as JSON lines. */
  EVENTS_FILE: string
  /** {@link RelayOptions} as JSON; `leaseMs` must be among them. */
  RELAY_OPTIONS: string
  /** `kafkajs` or `platformatic`. */
  TRANSPORT: string
  /** Name of a mutant. */
  MUTANT?: string
  /** Folder of the sources to run; where there is no mutant, the package's own. */
  RELAY_SOURCES?: string
}

/** What the torture tells the relay on its IPC channel. */
export interface RelayOrder {
  /** Block the event loop for so many milliseconds. */
  block?: number
  /** Send itself this signal at the next call of this failpoint: `before fetch`, `after publish`, … */
  at?: { failpoint: string; signal: 'SIGKILL' | 'SIGSTOP' }
  /** Pass the failpoint by, and answer. */
  disarm?: true
}

const env = process.env as unknown as RelayEnvironment
const options = JSON.parse(env.RELAY_OPTIONS) as RelayOptions & { leaseMs: number }

let armed: RelayOrder['at']
const failpoint = (name: string) => {
  if (name !== armed?.failpoint) return
  const { signal } = armed
  armed = undefined
  process.kill(process.pid, signal)
}

function obey({ block, at, disarm }: RelayOrder): void {
  if (at) armed = at
  if (disarm) {
    armed = undefined
    process.send?.('disarmed')
  }
  if (block !== undefined) for (const until = performance.now() + block; performance.now() < until; );
}

const sources = env.RELAY_SOURCES ?? fileURLToPath(new URL('../../src', import.meta.url))
const load = (file: string) => import(pathToFileURL(join(sources, file)).href)

const trace = new TraceFile(env.TRACE_FILE)
const watcher = new Watcher(trace, failpoint, options.leaseMs)

async function ports(): Promise<RelayPorts> {
  const [{ postgresStore }, { searchLog }] = await Promise.all([
    load('store/postgres/store.ts') as Promise<typeof import('../../src/store/postgres/store.ts')>,
    load('transport/kafkajs/search-log.ts') as Promise<typeof import('../../src/transport/kafkajs/search-log.ts')>,
  ])
  const brokers = env.KAFKA_BROKERS.split(',')
  const real: RelayPorts = {
    store: postgresStore({ databaseUrl: env.DATABASE_URL }),
    transport: await transportTo(brokers),
    search: searchLog({ brokers }),
    clock: watcher.clock,
    version: 'torture',
  }
  const mutant = env.MUTANT ? mutantNamed(env.MUTANT) : undefined
  const given = mutant?.ports?.(real) ?? real
  const watched = { ...given, store: watcher.store(given.store), transport: watcher.transport(given.transport) }
  return given.search ? { ...watched, search: watcher.search(given.search) } : watched
}

async function transportTo(brokers: string[]): Promise<Transport> {
  if (env.TRANSPORT === 'platformatic') {
    const { platformaticTransport } = (await load(
      'transport/platformatic/platformatic.ts',
    )) as typeof import('../../src/transport/platformatic/platformatic.ts')
    return platformaticTransport({ brokers })
  }
  const { kafkajsTransport } = (await load(
    'transport/kafkajs/kafkajs.ts',
  )) as typeof import('../../src/transport/kafkajs/kafkajs.ts')
  return kafkajsTransport({ brokers })
}

const { RelayEngine } = (await load('relay/relay.ts')) as typeof import('../../src/relay/relay.ts')
const relay = new RelayEngine(await ports(), options)
relay.on('*', (event, fields) => {
  if (event === 'leases_taken') process.send?.('has buckets')
  if (event === 'leases_lost') trace.add({ what: 'loses', buckets: fields.buckets })
  if (event === 'row_found_below_position' || event === 'wrong_bucket') {
    trace.add({ what: 'alarm', event, bucket: fields.bucket, id: fields.id })
  }
  appendFileSync(env.EVENTS_FILE, `${JSON.stringify({ time: new Date(), event, ...fields })}\n`)
})
process.on('message', obey)
// The torture is gone: nobody would end this process.
process.on('disconnect', () => process.exit(1))
process.once('SIGTERM', async () => {
  trace.addNow({ what: 'stops' })
  await relay.stop()
  trace.flush()
  process.exit(0)
})
trace.addNow({ what: 'began', relay: relay.id, pid: process.pid })
await relay.start()
