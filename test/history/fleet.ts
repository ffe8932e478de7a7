import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { RelayOptions } from '../../src/relay/options.ts'
import type { RelayFleet, RelayHandle } from './fault.ts'
import type { TortureOptions } from './options.ts'
import type { RelayEnvironment, RelayOrder } from './relay-program.ts'

/** What every relay of a fleet is started with. */
export interface FleetPlan {
  databaseUrl: string
  brokers: string
  options: RelayOptions & { leaseMs: number }
  transport: TortureOptions['transport']
  /** Folder for traces, events and errors. */
  folder: string
  mutant?: { name: string; sources: string } | undefined
  /** Additions to the environment of all. */
  env?: Record<string, string>
}

const program = fileURLToPath(new URL('relay-program.ts', import.meta.url))

/** Milliseconds after which a relay that has died is started again: a process manager is not quicker either. */
const restartMs = 200

/**
 * Milliseconds that a relay which is started for a fault may take until it has buckets: the database may be away, and on a busy machine
 * eight relays that start at once need half a minute.
 */
const joinMs = 90_000

/** Milliseconds after which a relay that is to go on is told so again. */
const wakeMs = 200

class OneRelay implements RelayHandle {
  readonly name: string
  readonly child: ChildProcess
  /** Somebody wanted its end: by signal, failpoint or scaling. */
  doomed = false
  /** Resolves when it has buckets for the first time, or has ended. */
  readonly joins: Promise<void>
  readonly #end: Promise<void>

  constructor(name: string, child: ChildProcess) {
    this.name = name
    this.child = child
    this.#end = new Promise((resolve) => child.once('exit', () => resolve()))
    this.joins = Promise.race([this.#end, new Promise<void>((resolve) => child.once('message', () => resolve()))])
    // An order to a process that has just died.
    child.on('error', () => {})
  }

  get pid(): number {
    return this.child.pid!
  }

  alive(): boolean {
    return this.child.exitCode === null && this.child.signalCode === null
  }

  signal(signal: NodeJS.Signals): void {
    if (signal === 'SIGKILL' || signal === 'SIGTERM') this.doomed = true
    this.child.kill(signal)
  }

  ended(): Promise<void> {
    return this.#end
  }

  block(ms: number): void {
    this.#order({ block: ms })
  }

  dieAt(failpoint: string): void {
    this.doomed = true
    this.#order({ at: { failpoint, signal: 'SIGKILL' } })
  }

  async stopAt(failpoint: string): Promise<() => Promise<void>> {
    this.#order({ at: { failpoint, signal: 'SIGSTOP' } })
    return async () => {
      let disarmed = false
      const gone = Promise.race([this.#end, new Promise((resolve) => this.child.once('message', resolve))])
      void gone.then(() => {
        disarmed = true
      })
      this.#order({ disarm: true })
      // It may come to its failpoint until it has heard.
      while (!disarmed && this.alive()) {
        this.child.kill('SIGCONT')
        await Promise.race([gone, sleep(wakeMs)])
      }
    }
  }

  #order(order: RelayOrder): void {
    if (this.alive() && this.child.connected) this.child.send(order)
  }
}

/** Relays in processes of their own; one that ends is started again, until the fleet is stopped. */
export class Fleet implements RelayFleet {
  /** How relays ended that nobody had doomed. */
  readonly unexpectedEnds: string[] = []
  readonly #plan: FleetPlan
  readonly #random: () => number
  #relays: OneRelay[] = []
  #wanted = 0
  #started = 0
  #stopping = false

  constructor(plan: FleetPlan, random: () => number) {
    this.#plan = plan
    this.#random = random
  }

  all(): readonly RelayHandle[] {
    return this.#relays.filter((relay) => relay.alive())
  }

  any(random: () => number = this.#random): RelayHandle {
    const alive = this.all()
    if (alive.length === 0) return this.#start()
    return alive[Math.floor(random() * alive.length)]!
  }

  async scale(count: number): Promise<void> {
    this.#wanted = count
    const alive = this.#relays.filter((relay) => relay.alive())
    for (let i = alive.length; i < count; i++) this.#start()
    const surplus = alive.slice(count)
    for (const relay of surplus) relay.signal('SIGTERM')
    await Promise.all(surplus.map((relay) => relay.ended()))
  }

  async startWith(env: Record<string, string>): Promise<RelayHandle> {
    const relay = this.#start(env)
    // A fault of its own would be over before it did anything.
    const patience = new AbortController()
    await Promise.race([relay.joins, sleep(joinMs, undefined, patience).catch(() => {})])
    patience.abort()
    return relay
  }

  /** Ends all relays for good, with SIGTERM; those that do not obey within `ms` are killed. Resolves with their number. */
  async stop(ms: number): Promise<number> {
    this.#stopping = true
    const alive = this.#relays.filter((relay) => relay.alive())
    for (const relay of alive) relay.signal('SIGTERM')
    const late = setTimeout(() => {
      for (const relay of alive) if (relay.alive()) relay.signal('SIGKILL')
    }, ms)
    await Promise.all(alive.map((relay) => relay.ended()))
    clearTimeout(late)
    return alive.filter((relay) => relay.child.signalCode === 'SIGKILL').length
  }

  #start(env: Record<string, string> = {}): OneRelay {
    const name = `relay-${++this.#started}`
    const { databaseUrl, brokers, options, transport, folder, mutant } = this.#plan
    const environment: RelayEnvironment = {
      DATABASE_URL: named(databaseUrl, name),
      KAFKA_BROKERS: brokers,
      TRACE_FILE: join(folder, `${name}.trace`),
      EVENTS_FILE: join(folder, `${name}.events`),
      RELAY_OPTIONS: JSON.stringify({ ...options, name }),
      TRANSPORT: transport,
      ...(mutant ? { MUTANT: mutant.name, RELAY_SOURCES: mutant.sources } : {}),
    }
    const errors = openSync(join(folder, `${name}.errors`), 'a')
    const child = spawn(process.execPath, ['--import', 'tsx', program], {
      env: { ...process.env, ...environment, ...this.#plan.env, ...env },
      stdio: ['ignore', 'ignore', errors, 'ipc'],
    })
    closeSync(errors)
    const relay = new OneRelay(name, child)
    this.#relays.push(relay)
    void relay.ended().then(() => this.#ended(relay))
    return relay
  }

  async #ended(relay: OneRelay): Promise<void> {
    this.#relays = this.#relays.filter((other) => other !== relay)
    const { exitCode, signalCode } = relay.child
    if (!relay.doomed) this.unexpectedEnds.push(`${relay.name} ended with ${exitCode ?? signalCode}`)
    await new Promise((resolve) => setTimeout(resolve, restartMs))
    if (!this.#stopping && this.all().length < this.#wanted) this.#start()
  }
}

/** The URL with the relay's name: the server's list of connections then tells whose they are. */
function named(databaseUrl: string, name: string): string {
  const url = new URL(databaseUrl)
  url.searchParams.set('application_name', name)
  return url.href
}

/** Resident memory in bytes and open files of a process; undefined when it has just ended. */
export function usageOf(pid: number): { rssBytes: number; handles: number } | undefined {
  try {
    const kilobytes = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kilobytes === undefined
      ? undefined
      : { rssBytes: Number(kilobytes) * 1024, handles: readdirSync(`/proc/${pid}/fd`).length }
  } catch {
    if (existsSync(`/proc/${pid}/status`)) throw new Error(`The usage of process ${pid} cannot be read.`)
    return undefined
  }
}
