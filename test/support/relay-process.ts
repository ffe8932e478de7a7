import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { inject, onTestFinished } from 'vitest'
import { builtMain } from './build.ts'
import type { TestDatabase } from './database.ts'

/** The real command line's relay, in a process of its own that can be killed. */
export interface RelayProcess {
  child: ChildProcess
  /** Log lines so far, parsed. */
  log: Record<string, unknown>[]
  /** Resolves with the first log line, past or future, that fits. */
  until(fits: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>
  /** Sends a signal and resolves with the end of the process. */
  end(signal: NodeJS.Signals): Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  /** Resolves with the end of the process. */
  ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  /** Resident memory in bytes. */
  rss(): number
  /** The most that it ever was. */
  highestRss(): number
}

/** Environment of a relay on a database, which may be created later. */
export const relayEnv = (database: TestDatabase, more: Record<string, string> = {}): Record<string, string> => ({
  get DATABASE_URL() {
    return database.url
  },
  KAFKA_BROKERS: inject('brokers'),
  OUTBOX_LEASE_MS: '3000',
  ...more,
})

/** Starts `relay`, or another program, with the given environment on top of the test run's own. It ends with the test, or with `atEnd`. */
export function startRelayProcess(
  env: Record<string, string>,
  args: readonly string[] = [builtMain, 'relay'],
  atEnd: (end: () => void) => void = onTestFinished,
): RelayProcess {
  const child = spawn(process.execPath, args, {
    env: { ...process.env, LOG_LEVEL: 'info', ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  // A test that fails must not leave a relay behind that takes the next test's messages.
  atEnd(() => void child.kill('SIGKILL'))
  const exit = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
  })
  const memory = (what: string) => {
    const kilobytes = new RegExp(`${what}:\\s+(\\d+)`).exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]
    return Number(kilobytes) * 1024
  }
  const log: Record<string, unknown>[] = []
  const lookers = new Set<() => void>()
  createInterface({ input: child.stdout! }).on('line', (line) => {
    try {
      log.push(JSON.parse(line))
    } catch {
      log.push({ text: line })
    }
    for (const look of lookers) look()
  })
  return {
    child,
    log,
    until: (fits) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = log.find(fits)
          if (!found) return
          lookers.delete(look)
          resolve(found)
        }
        lookers.add(look)
        look()
        void exit.then(({ code }) => reject(new Error(`The relay ended with ${code}.`)))
      }),
    end(signal) {
      child.kill(signal)
      return exit
    },
    ended: () => exit,
    rss: () => memory('VmRSS'),
    highestRss: () => memory('VmHWM'),
  }
}
