import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import type { Adapter, Context } from './adapter.ts'

/** Time by the machine's clock, as the broker's, with a fraction of a millisecond. */
export const now = (): number => performance.timeOrigin + performance.now()

/** Those that run: a benchmark that is broken off takes them along. */
const running = new Set<Relay>()

/** Kills every relay that runs. */
export const killRelays = (): Promise<unknown> => Promise.all([...running].map((relay) => relay.kill()))

/** A relay under measurement: a process group of its own, whose costs Linux counts. */
export class Relay implements AsyncDisposable {
  readonly started = now()
  readonly #child
  readonly #exit

  constructor(adapter: Adapter, context: Context) {
    const { cmd, args = [], env = {}, cwd } = adapter.relay(context)
    const log = openSync(context.log, 'a')
    this.#child = spawn(cmd, args, {
      detached: true,
      cwd,
      stdio: ['ignore', log, log],
      env: { ...process.env, NODE_ENV: 'production', ...environmentOf(context), ...env },
    })
    closeSync(log)
    running.add(this)
    this.#exit = once(this.#child, 'exit').finally(() => running.delete(this))
  }

  /** Why it has ended; `undefined` while it runs. */
  get ended(): string | number | undefined {
    return this.#child.signalCode ?? this.#child.exitCode ?? undefined
  }

  /** CPU time so far, and the most memory ever held, of all live processes of the group. */
  costs(): { cpuMs: number; rssMb: number } {
    let [ticks, kilobytes] = [0, 0]
    for (const { pid, fields } of processes()) {
      if (Number(fields[2]) !== this.#child.pid) continue
      ticks += cpuTicks(fields)
      kilobytes += Number(/VmHWM:\s+(\d+)/.exec(readOrNothing(`/proc/${pid}/status`))?.[1] ?? 0)
    }
    return { cpuMs: ticks * 10, rssMb: Math.round(kilobytes / 1024) }
  }

  async kill(): Promise<void> {
    this.#signal('SIGKILL')
    await this.#exit
  }

  /** SIGTERM, and SIGKILL eight seconds later. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.ended !== undefined) return
    this.#signal('SIGTERM')
    const late = setTimeout(() => this.#signal('SIGKILL'), 8_000)
    await this.#exit
    clearTimeout(late)
  }

  #signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.#child.pid!, signal)
    } catch {
      // All of the group have ended.
    }
  }
}

/** What every relay is told by its environment. */
const environmentOf = (context: Context): Record<string, string> => ({
  DATABASE_URL: context.databaseUrl,
  KAFKA_BROKERS: context.brokers,
  TOPIC: context.topic,
  VARIANT: context.variant,
  BENCH_CTX: JSON.stringify(context),
})

/** Begins to watch the CPU that processes other than this one and its descendants take; the answer is in cores. */
export function watchOthers(): () => number {
  const [busy, own, began] = [busyTicks(), ownTicks(), now()]
  return () => {
    const ticks = busyTicks() - busy - (ownTicks() - own)
    return Math.round(Math.max(0, (ticks * 1_000) / (now() - began))) / 100
  }
}

function busyTicks(): number {
  const [, user, nice, system, , , irq, softirq, steal] = readFileSync('/proc/stat', 'utf8')
    .split('\n')[0]!
    .split(/\s+/)
    .map(Number)
  return user! + nice! + system! + irq! + softirq! + steal!
}

function ownTicks(): number {
  const all = [...processes()]
  const parents = new Map(all.map(({ pid, fields }) => [pid, Number(fields[1])]))
  const isOurs = (pid: number): boolean => pid === process.pid || (pid > 1 && isOurs(parents.get(pid) ?? 0))
  return all.filter(({ pid }) => isOurs(pid)).reduce((sum, { fields }) => sum + cpuTicks(fields), 0)
}

/** User and system time of a process and of its children that have ended, in hundredths of a second. */
const cpuTicks = (fields: string[]): number => Number(fields[11]) + Number(fields[12]) + Number(fields[13]) + Number(fields[14])

/** Every process, with the fields of its `stat` behind the name. */
function* processes(): Generator<{ pid: number; fields: string[] }> {
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = readOrNothing(`/proc/${name}/stat`)
    if (stat !== '') yield { pid: Number(name), fields: stat.slice(stat.lastIndexOf(')') + 2).split(' ') }
  }
}

/** A process may end while it is read. */
function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
