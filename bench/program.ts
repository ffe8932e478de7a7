import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const programs = new URL('./programs/', import.meta.url)
const built = new URL('../.cache/bench/', import.meta.url)

/** Flags for Node that every measured process gets: `--cpu-prof`, to see what its time goes to. */
const nodeFlags = process.env.OUTBOX_BENCH_NODE_FLAGS?.split(' ').filter(Boolean) ?? []

/** Arguments of Node for a program of the folder `programs`: as JavaScript, since a loader of TypeScript would count as its memory and CPU. */
export function programArgs(name: string): string[] {
  mkdirSync(built, { recursive: true })
  for (const file of readdirSync(programs)) {
    const compilerOptions = {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      rewriteRelativeImportExtensions: true,
    }
    const { outputText } = ts.transpileModule(readFileSync(new URL(file, programs), 'utf8'), { compilerOptions })
    writeFileSync(new URL(file.replace(/\.ts$/, '.js'), built), outputText)
  }
  return [fileURLToPath(new URL(`${name}.js`, built))]
}

/** A measured process: one that writes lines, ends on SIGTERM, and whose costs Linux counts. */
export class Program implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  readonly #lookers = new Set<() => void>()
  readonly #exit: Promise<unknown>
  /** A process may be gone before its last line is read. */
  readonly #read: Promise<unknown>

  constructor(args: readonly string[], env: Record<string, string>) {
    this.#child = spawn(process.execPath, [...nodeFlags, ...args], {
      env: { ...process.env, NODE_ENV: 'production', ...env },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#exit = once(this.#child, 'exit')
    const output = createInterface({ input: this.#child.stdout! })
    this.#read = once(output, 'close')
    output.on('line', (line) => {
      this.#lines.push(line)
      for (const look of this.#lookers) look()
    })
  }

  /** Whether it has ended: nobody waits for what it will not do. */
  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** The first line, past or future, that holds the text. */
  line(text: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = this.#lines.find((line) => line.includes(text))
        if (found === undefined) return
        this.#lookers.delete(look)
        resolve(found)
      }
      this.#lookers.add(look)
      look()
      void this.#read.then(() => reject(new Error(`The program ended before it wrote "${text}".`)))
    })
  }

  /** CPU time of all its threads so far, in microseconds: /proc counts in hundredths of a second. */
  cpuMicros(): number {
    const stat = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * 10_000
  }

  /** The most memory that it ever held. */
  peakMiB(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8')
    return Number(/VmHWM:\s+(\d+)/.exec(status)![1]) / 1024
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.#exit
  }
}
