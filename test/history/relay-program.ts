import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type { RelayOptions } from '../../src/relay/options.ts'
import type { RelayPorts } from '../../src/relay/relay.ts'
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
  /** Name of a mutant. */
  MUTANT?: string
  /** Folder of the sources to run; where there is no mutant, the package's own. */
  RELAY_SOURCES?: string
}

/** What the torture tells the relay on its IPC channel. */
export interface RelayOrder {
  /** Block the event loop for so many milliseconds. */
  block?: number
  /** Die by SIGKILL at the next call of this failpoint: `before fetch`, `after publish`, … */
  dieAt?: string
}

const env = process.env as unknown as RelayEnvironment
const options = JSON.parse(env.RELAY_OPTIONS) as RelayOptions & { leaseMs: number }

let dieAt: string | undefined
const failpoint = (name: string) => {
  if (name === dieAt) process.kill(process.pid, 'SIGKILL')
}

function obey({ block, dieAt: point }: RelayOrder): void {
  if (point !== undefined) dieAt = point
  if (block !== undefined) for (const until = performance.now() + block; performance.now() < until; );
}

const sources = env.RELAY_SOURCES ?? fileURLToPath(new URL('../../src', import.meta.url))
const load = (file: string) => import(pathToFileURL(join(sources, file)).href)

const trace = new TraceFile(env.TRACE_FILE)
const watcher = new Watcher(trace, failpoint, options.leaseMs)

async function ports(): Promise<RelayPorts> {
  const [{ kafkajsTransport }, { postgresStore }] = await Promise.all([
    load('transport/kafkajs/kafkajs.ts') as Promise<typeof import('../../src/transport/kafkajs/kafkajs.ts')>,
    load('store/postgres/store.ts') as Promise<typeof import('../../src/store/postgres/store.ts')>,
  ])
  const real: RelayPorts = {
    store: postgresStore({ databaseUrl: env.DATABASE_URL }),
    transport: kafkajsTransport({ brokers: env.KAFKA_BROKERS.split(',') }),
    clock: watcher.clock,
    version: 'torture',
  }
  const mutant = env.MUTANT ? mutantNamed(env.MUTANT) : undefined
  const given = mutant?.ports?.(real) ?? real
  return { ...given, store: watcher.store(given.store), transport: watcher.transport(given.transport) }
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
