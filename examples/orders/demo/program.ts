import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Most of what a program printed that is kept, in characters: for the report of its sudden end. */
const keptOutput = 4_000

/** A TypeScript program in a process of its own, which can be killed and started again. */
export class Program {
  readonly #file: string
  readonly #args: string[]
  readonly #env: Record<string, string>
  #child: ChildProcess | undefined
  #exit: Promise<number | null> = Promise.resolve(null)
  #output = ''
  #ending = false
  /** Why it ended although nobody wanted it to. */
  failure: string | undefined

  constructor(file: URL, args: string[], env: Record<string, string>) {
    this.#file = fileURLToPath(file)
    this.#args = args
    this.#env = env
  }

  get running(): boolean {
    return this.#child !== undefined
  }

  /** Starts it, if it does not run; resolves with the first line that it prints, or with its end. */
  start(): Promise<void> {
    if (this.#child) return Promise.resolve()
    this.#output = ''
    this.#ending = false
    // Not through the command tsx: that is a parent of the real process, and killing it would leave the child alive.
    const child = spawn(process.execPath, ['--import', 'tsx', this.#file, ...this.#args], {
      env: { ...process.env, ...this.#env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#exit = new Promise((resolve) => child.once('exit', (code) => resolve(this.#ended(code))))
    const keep = (text: Buffer) => {
      this.#output = (this.#output + text).slice(-keptOutput)
    }
    child.stderr!.on('data', keep)
    child.stdout!.on('data', keep)
    return new Promise((resolve) => {
      child.stdout!.once('data', () => resolve())
      child.once('exit', () => resolve())
    })
  }

  /** SIGKILL: no chance to finish anything. */
  async kill(): Promise<void> {
    this.#ending = true
    this.#child?.kill('SIGKILL')
    await this.#exit
  }

  /** SIGTERM, and SIGKILL for one that does not listen; gives the exit code. */
  async stop(timeoutMs = 15_000): Promise<number | null> {
    this.#ending = true
    const child = this.#child
    child?.kill('SIGTERM')
    const timer = setTimeout(() => child?.kill('SIGKILL'), timeoutMs)
    const code = await this.#exit
    clearTimeout(timer)
    return code
  }

  #ended(code: number | null): number | null {
    this.#child = undefined
    if (!this.#ending) this.failure = `${this.#file} ended with ${code}:\n${this.#output}`
    return code
  }
}
