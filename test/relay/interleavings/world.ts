import type { Clock } from '../../../src/running/clock.ts'

/** A process as the world sees it: its clock, its timers, and what has not reached it yet. */
export class Process {
  readonly name: string
  readonly clock: Clock
  /** Its own offset: nobody's monotonic scale begins at the same time. */
  readonly #world: World
  readonly #timers = new Set<Timer>()
  #held: (() => void)[] = []
  #state: 'runs' | 'stands' | 'dead' = 'runs'

  constructor(world: World, name: string) {
    this.name = name
    this.#world = world
    this.clock = {
      now: () => world.now,
      date: () => world.now,
      wait: (ms, signal) => this.#wait(ms, signal),
    }
  }

  get state(): 'runs' | 'stands' | 'dead' {
    return this.#state
  }

  /** From now on nothing of the process runs: neither timers nor answers. */
  stand(): void {
    if (this.#state === 'runs') this.#state = 'stands'
  }

  die(): void {
    this.#state = 'dead'
    this.#held = []
    this.#timers.clear()
  }

  /** Goes on after a stand: what became due and what arrived meanwhile comes at once, timers first, as Node does it. */
  async goOn(): Promise<void> {
    if (this.#state !== 'stands') return
    this.#state = 'runs'
    await this.fire()
    for (const deliver of this.#held.splice(0)) {
      deliver()
      await settle()
    }
  }

  /** Runs `deliver` in the process: now, when it goes on, or never. */
  deliver(deliver: () => void): void {
    if (this.#state === 'runs') deliver()
    else if (this.#state === 'stands') this.#held.push(deliver)
  }

  /** When its next timer is due. */
  get nextDue(): number {
    let due = Number.POSITIVE_INFINITY
    if (this.#state === 'runs') for (const timer of this.#timers) due = Math.min(due, timer.at)
    return due
  }

  /** Runs what is due, in the order of its time. */
  async fire(): Promise<void> {
    for (;;) {
      const due = [...this.#timers].filter((timer) => timer.at <= this.#world.now).sort((a, b) => a.at - b.at)[0]
      if (!due || this.#state !== 'runs') return
      due.ring()
      await settle()
    }
  }

  #wait(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const ring = () => {
        this.#timers.delete(timer)
        signal?.removeEventListener('abort', ring)
        resolve()
      }
      const timer: Timer = { at: this.#world.now + Math.max(0, ms), ring }
      this.#timers.add(timer)
      signal?.addEventListener('abort', ring)
    })
  }
}

interface Timer {
  at: number
  ring: () => void
}

/** Says which moment comes next: the scheduler of fast-check, or an order that a test wants. */
export interface Moments {
  schedule<T>(task: Promise<T>, label?: string): Promise<T>
  waitOne(): Promise<void>
}

/** Lets every promise chain go as far as it can without the world. Nothing in the world is a real timer or a real socket. */
export const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/**
 * Time and chance: whatever takes time between processes, database and brokers is a moment, and the scheduler of fast-check draws which
 * one comes next. The passing of time itself is one of them, so a statement may take no time or any time.
 */
export class World {
  /** Milliseconds. */
  now = 1_000_000
  readonly processes: Process[] = []
  readonly #scheduler: Moments
  /** Milliseconds that one moment may take, at most. */
  readonly #stepMs: number
  #passing: Promise<void> | undefined
  /** The first broken promise of the relay. */
  broken: Error | undefined

  constructor(scheduler: Moments, stepMs: number) {
    this.#stepMs = stepMs
    this.#scheduler = scheduler
    this.#tick()
  }

  process(name: string): Process {
    const process = new Process(this, name)
    this.processes.push(process)
    return process
  }

  /** Resolves at a moment that is drawn. */
  moment(label: string): Promise<void> {
    return this.#scheduler.schedule(Promise.resolve(), label)
  }

  /** Whatever a model finds broken is told here: thrown inside the relay it would be taken for a fault of a port. */
  violated(what: string): void {
    this.broken ??= new Error(what)
  }

  /** Lets so many moments come. */
  async run(moments: number): Promise<void> {
    for (let left = moments; left > 0; left--) {
      await this.#scheduler.waitOne()
      await settle()
      await this.#passing
      if (this.broken) throw this.broken
    }
  }

  /** Lets moments come until so much time has passed. */
  async pass(ms: number): Promise<void> {
    for (const until = this.now + ms; this.now < until; ) await this.run(1)
  }

  /** The passing of time, up to what is due next. */
  #tick(): void {
    void this.moment('time').then(() => {
      this.#passing = this.#pass()
    })
  }

  async #pass(): Promise<void> {
    const due = Math.min(...this.processes.map((process) => process.nextDue))
    this.now = Math.max(this.now, Math.min(due, this.now + this.#stepMs))
    for (const process of this.processes) await process.fire()
    this.#tick()
  }
}
