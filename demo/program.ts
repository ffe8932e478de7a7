import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Most of what a process printed that is kept, in characters: for the report of its sudden end. */
const keptOutput = 4_000

/** How a {@link Program} is run. */
interface ProgramOptions {
  args?: string[]
  env: Record<string, string>
  /**
   * Keeps a second process that has loaded everything, and waits for a line on its standard input before it begins. Starting takes more
   * CPU than everything else here: without a stand-by, a small machine would show little but processes that start.
   */
  standby?: boolean
}

/** A TypeScript program in a process of its own, which can be killed and started again. */
export class Program {
  readonly #file: string
  readonly #options: ProgramOptions
  #running: Run | undefined
  #standby: Run | undefined
  #wanted = false
  /** Why it ended although nobody wanted it to. */
  failure: string | undefined

  constructor(file: URL, options: ProgramOptions) {
    this.#file = fileURLToPath(file)
    this.#options = options
  }

  get running(): boolean {
    return this.#running !== undefined
  }

  /** Loads the stand-by, so that starting takes no time. */
  async load(): Promise<void> {
    this.#standby ??= new Run(this.#file, this.#options)
    await this.#standby.ready
  }

  /** Starts it, if it does not run; resolves with the first line that it prints, or with its end. */
  async start(): Promise<void> {
    if (this.#running) return
    this.#wanted = true
    const run = this.#standby ?? new Run(this.#file, this.#options)
    this.#standby = undefined
    this.#running = run
    void run.exit.then((code) => this.#ended(run, code))
    await run.ready
    run.begin()
    if (this.#options.standby && this.#wanted) this.#standby ??= new Run(this.#file, this.#options)
  }

  /** SIGKILL: no chance to finish anything. */
  async kill(): Promise<void> {
    this.#wanted = false
    this.#running?.child.kill('SIGKILL')
    await this.#running?.exit
  }

  /** SIGTERM, and SIGKILL for one that does not listen; gives the exit code. */
  async stop(timeoutMs = 15_000): Promise<number | null> {
    this.#wanted = false
    const run = this.#running
    if (!run) return null
    run.child.kill('SIGTERM')
    const timer = setTimeout(() => run.child.kill('SIGKILL'), timeoutMs)
    const code = await run.exit
    clearTimeout(timer)
    return code
  }

  /** Ends everything, the stand-by too. */
  async close(): Promise<void> {
    this.#standby?.child.kill('SIGKILL')
    await Promise.all([this.kill(), this.#standby?.exit])
  }

  #ended(run: Run, code: number | null): void {
    this.#running = undefined
    if (this.#wanted) this.failure = `${this.#file} ended with ${code}:\n${run.output}`
  }
}

/** One process. */
class Run {
  readonly child: ChildProcess
  readonly exit: Promise<number | null>
  readonly ready: Promise<void>
  output = ''

  constructor(file: string, { args = [], env, standby = false }: ProgramOptions) {
    // Not through the command tsx: that is a parent of the real process, and killing it would leave the child alive.
    this.child = spawn(process.execPath, ['--import', 'tsx', file, ...args], {
      env: { ...process.env, ...env },
      stdio: [standby ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    })
    const { stdin, stdout, stderr } = this.child
    this.exit = new Promise((resolve) => this.child.once('exit', resolve))
    this.ready = Promise.race([new Promise<void>((resolve) => stdout!.once('data', () => resolve())), this.exit.then(() => {})])
    const keep = (text: Buffer) => {
      this.output = (this.output + text).slice(-keptOutput)
    }
    for (const stream of [stdout!, stderr!]) stream.on('data', keep)
    // It may be dead already when it is told to begin.
    stdin?.on('error', () => {})
  }

  begin(): void {
    this.child.stdin?.write('begin\n')
  }
}
