import { wakeChannel } from '../src/message/wake.ts'
import { readTopic } from '../test/support/topics.ts'
import { type Backlog, preloadOutbox } from './backlog.ts'
import { contenders, start } from './contenders.ts'
import { complete, drained, ratePerSecond } from './drain.ts'
import type { Measured } from './figures.ts'
import { Ground } from './ground.ts'
import type { Bench } from './mode.ts'
import type { Program } from './program.ts'

/** What Linux counts CPU time in: less is not told, and nothing can be divided by 0. */
const tickMicros = 10_000

/**
 * A relay that lives on from one portion of messages to the next. Start, first compilation and first view of each page are over before
 * anything is measured. A portion can be short, so that two relays are measured seconds apart.
 */
export class LivingRelay implements AsyncDisposable {
  readonly #ground: Ground
  readonly #program: Program
  /** Number of the next message. */
  #from = 0

  private constructor(ground: Ground, program: Program) {
    this.#ground = ground
    this.#program = program
  }

  /** Starts the program that these arguments of Node name, on a ground of its own. */
  static async start(bench: Bench, args: readonly string[]): Promise<LivingRelay> {
    const ground = await Ground.prepare(bench, contenders.relay.schema)
    // Whether it comes during a portion of one relay or of the other is chance; each portion is vacuumed after its end.
    await ground.pool.query('ALTER TABLE outbox SET (autovacuum_enabled = off)')
    const program = start({ ...contenders.relay, args }, ground, bench.options.transport)
    await program.line(contenders.relay.begins)
    return new LivingRelay(ground, program)
  }

  /** A line that the program has written, or will write. */
  line(text: string): Promise<string> {
    return this.#program.line(text)
  }

  /** Commits that many messages at once, `watched` from then on, and measures until they are published and deleted. */
  async portion(what: Omit<Backlog, 'from'>, watch: () => AsyncDisposable): Promise<Measured> {
    const backlog = { ...what, from: this.#from }
    this.#from += what.messages
    const cpu = await this.#commit(backlog)
    const watching = watch()
    await drained(this.#ground, contenders.relay, this.#from, [this.#program]).finally(() => watching[Symbol.asyncDispose]())
    const cpuMicros = Math.max(tickMicros, this.#program.cpuMicros() - cpu) / what.messages
    const perSecond = ratePerSecond(complete(await readTopic(this.#ground.topic, this.#ground.brokers), backlog))
    await this.#ground.clear()
    return { perSecond, cpuMicros, peakMiB: this.#program.peakMiB() }
  }

  /** Statistics and a checkpoint come before the relay can see a row. Gives the CPU time that it had used by then. */
  async #commit(backlog: Backlog): Promise<number> {
    const client = await this.#ground.pool.connect()
    try {
      await client.query('BEGIN')
      await preloadOutbox({ pool: client, topic: this.#ground.topic }, backlog)
      await client.query('ANALYZE outbox')
      await client.query(`NOTIFY ${wakeChannel}`)
      await this.#ground.pool.query('CHECKPOINT')
      const cpu = this.#program.cpuMicros()
      await client.query('COMMIT')
      return cpu
    } finally {
      client.release()
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program[Symbol.asyncDispose]()
    await this.#ground[Symbol.asyncDispose]()
  }
}
