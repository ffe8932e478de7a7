import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { Closing } from '../closing.ts'
import { type Ground, prepareGround } from '../ground.ts'
import { listenToKeys } from '../keys.ts'
import { killAtRandom } from '../kills.ts'
import type { DemoOptions } from '../options.ts'
import type { Program } from '../program.ts'
import { bold, dim, green, red, Screen } from '../screen.ts'
import { TopicReader } from '../topic-reader.ts'
import { Contestant, type Score, score, type Victim, ways } from './contestant.ts'
import { legend, scoreboard, scoreLine } from './scoreboard.ts'

/** The last kill is at least so long before the end, in ms: an order needs a moment to be lost for good. */
const calmMs = 3_000

/** Who is killed, of every way at the same moment: the applications, and meanwhile, on their own, the relays. */
const victims: Victim[][] = [['app'], ['relay 1', 'relay 2']]

/** Time that all relays have at the end to publish what waits, in ms. */
const drainMs = 30_000

/**
 * `npm run demo -- --naive`: four ways of announcing orders side by side, the same kills for all at the same moments. Gives whether this
 * package kept its promise.
 */
export async function compare(options: DemoOptions): Promise<boolean> {
  console.log(dim('Starting PostgreSQL and Kafka …'))
  await using closing = new Closing()
  const ground = await prepareGround(closing)
  console.log(dim('Opening four shops …'))
  const contest = await Contest.open(ground, options, closing)
  await contest.run()
  console.log(dim('\nNo more kills and no more orders. The relays publish what waits …'))
  const scores = await contest.end()
  console.log(`\n${scoreboard(scores).join('\n')}\n\n${legend.join('\n')}\n`)
  const { lost, phantom, outOfOrder, waiting } = scores.at(-1)!
  const kept = lost + phantom + outOfOrder + waiting === 0
  const text = kept ? 'lost nothing, made up nothing, and kept every order' : 'broke its promise'
  console.log((kept ? green : red)(`  This package ${text}. Seed ${options.seed}, ${contest.kills.length} kills.`))
  return kept
}

class Contest {
  /** Kills so far. */
  readonly kills: Victim[] = []
  readonly #seed: number
  readonly #seconds: number
  readonly #contestants: Contestant[]
  readonly #reader: TopicReader
  readonly #screen = new Screen()

  private constructor({ seed, seconds }: DemoOptions, contestants: Contestant[], reader: TopicReader) {
    this.#seed = seed
    this.#seconds = seconds!
    this.#contestants = contestants
    this.#reader = reader
  }

  /** Opens all shops; resolves when the processes of all are ready. */
  static async open(ground: Ground, options: DemoOptions, closing: Closing): Promise<Contest> {
    const run = randomBytes(4).toString('hex')
    const settings = { rate: options.rate, run }
    const contestants: Contestant[] = []
    for (const way of ways) contestants.push(await Contestant.open(way, ground, settings, closing))
    const topics = contestants.map((contestant) => contestant.topic)
    const reader = await TopicReader.open(ground.kafka, topics, closing)
    const contest = new Contest(options, contestants, reader)
    await contest.#start()
    return contest
  }

  /** The relays first, and then all applications at the same moment. */
  async #start(): Promise<void> {
    const apps = this.#all('app')
    await Promise.all(apps.map((app) => app.load()))
    await Promise.all([...this.#all('relay 1'), ...this.#all('relay 2')].map((relay) => relay.start()))
    await Promise.all(apps.map((app) => app.start()))
  }

  /** Lets the orders come, and kills, until the time is over or the key q. */
  async run(): Promise<void> {
    const began = performance.now()
    const over = new AbortController()
    const end = () => over.abort()
    const calm = AbortSignal.any([over.signal, AbortSignal.timeout(Math.max(0, this.#seconds * 1_000 - calmMs))])
    const killing = Promise.all(victims.map((kind, at) => this.#kill(kind, this.#seed + at, calm)))
    const timer = setTimeout(end, this.#seconds * 1_000)
    const keysOff = listenToKeys({ q: end })
    process.once('SIGINT', end).once('SIGTERM', end)
    try {
      do await this.#draw(performance.now() - began)
      while (await wait(1_000, true, { signal: over.signal }).catch(() => false))
    } finally {
      end()
      clearTimeout(timer)
      keysOff()
      await killing
    }
  }

  #kill(kind: Victim[], seed: number, signal: AbortSignal): Promise<void> {
    const groups = kind.map((victim) => this.#all(victim))
    return killAtRandom(groups, { seed, signal, onKill: (at) => this.kills.push(kind[at]!) })
  }

  /** Stops the applications, lets the relays publish what waits, stops them too, and judges. */
  async end(): Promise<Score[]> {
    const relays = [...this.#all('relay 1'), ...this.#all('relay 2')]
    await Promise.all(this.#all('app').map((app) => app.stop()))
    await Promise.all(this.#contestants.map(drained))
    await Promise.all(relays.map((relay) => relay.stop()))
    return this.#scores(true)
  }

  /** The program of that name of every way that has one. */
  #all(victim: Victim): Program[] {
    return this.#contestants.flatMap(({ programs }) => programs.get(victim) ?? [])
  }

  async #scores(ended: boolean): Promise<Score[]> {
    const tables = await Promise.all(this.#contestants.map((contestant) => contestant.look()))
    await this.#reader.reachEnd()
    return tables.map((one, at) => score(one, this.#reader.records(this.#contestants[at]!.topic), ended))
  }

  async #draw(elapsedMs: number): Promise<void> {
    for (const { programs } of this.#contestants) {
      for (const program of programs.values()) if (program.failure) throw new Error(program.failure)
    }
    const scores = await this.#scores(false)
    const last = this.kills.length === 0 ? 'none yet' : `${this.kills.length}, the last of the ${this.kills.at(-1)} of each`
    const head = `  ${bold(`${(elapsedMs / 1_000).toFixed(0)} s`)}   kills by SIGKILL: ${last}`
    this.#screen.show(['', head, '', ...scoreboard(scores), ''], `${(elapsedMs / 1_000).toFixed(0)} s  ${scoreLine(scores)}`)
  }
}

/** Resolves when nothing waits any more, or the time for it is over. A table tells nobody that it is empty: it is asked. */
async function drained(contestant: Contestant): Promise<void> {
  for (const end = performance.now() + drainMs; performance.now() < end; ) {
    if ((await contestant.waiting()) === 0) return
    await wait(100)
  }
}
