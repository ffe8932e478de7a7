import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Attempt, History, Trace, TraceLine } from '../../src/proof/history.ts'

const attemptsFile = 'attempts.jsonl'
const restFile = 'history.json'

/** A history in a folder: attempts and traces are written while it happens, the rest at the end. It can be judged again. */
export const kept = {
  /** Adds an attempt that has just ended. */
  attempt: (folder: string, attempt: Attempt): void => appendFileSync(join(folder, attemptsFile), `${JSON.stringify(attempt)}\n`),

  /** Writes everything but attempts and traces, which are there. */
  write(folder: string, { attempts: _, traces: __, ...rest }: History): void {
    writeFileSync(join(folder, restFile), JSON.stringify(rest))
  },

  read: (folder: string): History => ({
    ...JSON.parse(readFileSync(join(folder, restFile), 'utf8')),
    attempts: linesOf<Attempt>(join(folder, attemptsFile)),
    traces: kept.traces(folder),
  }),

  /** The traces of all relays, each under the name of its process. */
  traces: (folder: string): Trace[] =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.trace'))
      .map((file) => ({ relay: file.replace('.trace', ''), lines: linesOf<TraceLine>(join(folder, file)) })),
}

/** A SIGKILL may have cut the last line short: it is left out. */
const linesOf = <T>(path: string): T[] =>
  readFileSync(path, 'utf8')
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line) as T)
