import { openSync, writeSync } from 'node:fs'
import type { TraceLine } from '../../src/proof/history.ts'
import { monotonicMs } from '../../src/proof/history.ts'

type WithoutTime<L> = L extends unknown ? Omit<L, 'at'> : never

/** A line as its author gives it; the file adds the time. */
export type NewLine = WithoutTime<TraceLine>

/** Milliseconds that a line may stay in memory. */
const flushMs = 100

/**
 * The trace of a relay, on disk. Lines are written in their order with synchronous appends: what the operating system has survives a
 * SIGKILL. A line that tells of something done inside may wait for the next one; a line before something that the outside can see may not.
 */
export class TraceFile {
  readonly #file: number
  #lines: string[] = []

  constructor(path: string) {
    this.#file = openSync(path, 'a')
    setInterval(() => this.flush(), flushMs).unref()
  }

  add(line: NewLine): void {
    this.#lines.push(JSON.stringify({ at: monotonicMs(), ...line }))
  }

  /** Adds a line that must be on the disk before what it tells of can have an effect. */
  addNow(line: NewLine): void {
    this.add(line)
    this.flush()
  }

  flush(): void {
    if (this.#lines.length === 0) return
    writeSync(this.#file, `${this.#lines.join('\n')}\n`)
    this.#lines = []
  }
}
