import { readFileSync } from 'node:fs'
import { judge, readBack } from '../log.ts'
import { type Bench, Place, pause } from '../place.ts'
import { now, Relay } from '../relay.ts'
import { type Result, round } from '../result.ts'

/** A backlog, until all of it is published and settled; with `kills`, under SIGKILLs at random points. */
export async function drain(bench: Bench, { n, keys, kills = 0 }: { n: number; keys: number; kills?: number }): Promise<Result> {
  const { adapter, options } = bench
  await using place = await Place.create(bench)
  const walPreload = await place.preload({ n, keys })
  await place.settle()
  const wal = await place.walPosition()
  await using killed = new KilledRelay(place, points(n, kills, options.seed))
  const { started } = killed.relay
  const records = adapter.noRecords?.(place.context) ? 0 : n
  const each = kills === 0 ? undefined : (count: number) => killed.turn(count)
  const ok = await place.drained(() => killed.relay, records, options.timeoutMs, each)
  const { cpuMs, rssMb } = killed.costs()
  const walDrain = round(((await place.walPosition()) - wal) / n)
  await killed[Symbol.asyncDispose]()
  const { first, last, ...verdict } = judge(await readBack(adapter, place.context), records)
  const floor = /\{"floor":(\d+)\}/.exec(readFileSync(place.context.log, 'utf8'))?.[1]
  const published = verdict.records > 0
  return {
    ok,
    n,
    keys,
    ...(floor && { floor: Number(floor) }),
    perSec: published ? round(verdict.records / ((last - first) / 1_000)) : null,
    firstRecordMs: published ? round(first - started) : null,
    cpuUsPerMsg: round((cpuMs * 1_000) / Math.max(1, records === 0 ? n : verdict.records)),
    rssMb,
    walPreload,
    walDrain,
    ...verdict,
    ...(kills > 0 && { restartSec: killed.restarts }),
  }
}

/** Numbers of records at which the relay is killed: repeatable by the seed. */
function points(n: number, kills: number, seed: number): number[] {
  let state = seed
  return Array.from({ length: kills }, (_, k) => {
    state = (state * 1103515245 + 12345) % 2147483648
    return Math.floor((n * (k + 0.15 + (0.7 * state) / 2147483648)) / (kills + 0.2))
  })
}

/** A relay that is killed at given points, and started again at once. */
class KilledRelay implements AsyncDisposable {
  relay: Relay
  /** Seconds from each restart until the topic grew again. */
  readonly restarts: number[] = []
  #before = 0
  #waiting: { records: number; at: number } | undefined
  readonly #place: Place
  readonly #points: number[]

  constructor(place: Place, points: number[]) {
    this.#place = place
    this.#points = points
    this.relay = new Relay(place.bench.adapter, place.context)
  }

  async turn(records: number): Promise<void> {
    if (this.#waiting && records > this.#waiting.records) {
      this.restarts.push(round((now() - this.#waiting.at) / 1_000, 2))
      this.#waiting = undefined
    }
    if (this.#waiting || this.#points.length === 0 || records < this.#points[0]!) return
    this.#points.shift()
    this.#before += this.relay.costs().cpuMs
    await this.relay.kill()
    this.relay = new Relay(this.#place.bench.adapter, this.#place.context)
    // What the killed one had sent may still be on its way into the log.
    await pause(30)
    this.#waiting = { records: await this.#place.records(), at: this.relay.started }
  }

  /** Of all that ran. */
  costs(): { cpuMs: number; rssMb: number } {
    const { cpuMs, rssMb } = this.relay.costs()
    return { cpuMs: cpuMs + this.#before, rssMb }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.relay[Symbol.asyncDispose]()
  }
}
