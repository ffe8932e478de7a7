import { builtMain } from '../../test/support/build.ts'
import { freePort } from '../../test/support/ports.ts'
import { LivingRelay } from '../living-relay.ts'
import { Looks } from '../looks.ts'
import type { Bench, Mode } from '../mode.ts'
import { programArgs } from '../program.ts'
import type { Run } from '../result.ts'

/** Ways to watch the relay: the pages that are asked for, and whether it makes spans. */
const ways = {
  unwatched: { pages: [], traces: false },
  metrics: { pages: ['/metrics'], traces: false },
  everything: { pages: ['/metrics', '/'], traces: true },
} as const satisfies Record<string, { pages: readonly string[]; traces: boolean }>

type Way = keyof typeof ways

interface Case {
  name: string
  messages: number
}

/**
 * What metrics cost the relay, and what metrics, a span of each publish and an open dashboard cost it together. The relays live side by side,
 * each on a ground of its own, and get portions of messages in turn, forwards and backwards: what the machine does otherwise meets neighbors.
 */
export const watchingMode: Mode<Case> = {
  cases: ({ messages = 100_000 }) => [{ name: `portions of ${messages} messages`, messages }],
  contenders: Object.keys(ways),
  ratios: {
    figure: 'perSecond',
    beside: 'cpuMicros',
    pairs: [
      ['metrics', 'unwatched'],
      ['everything', 'unwatched'],
    ],
  },
  async *runs(bench, of) {
    await using relays = new Relays()
    for (const name of Object.keys(ways) as Way[]) await relays.start(bench, name)
    // The first portion of each is not counted: code is compiled, and each page is looked at for the first time.
    for (let run = 0; run <= bench.options.runs; run++) {
      for (const name of run % 2 === 0 ? relays.names : relays.names.reverse()) {
        const figures = await relays.portion(name, of)
        if (run > 0) yield { run, case: of.name, contender: name, figures } satisfies Run
      }
    }
  },
}

/** The relays that live side by side. */
class Relays implements AsyncDisposable {
  readonly #relays = new Map<Way, { relay: LivingRelay; urls: string[] }>()

  get names(): Way[] {
    return [...this.#relays.keys()]
  }

  async start(bench: Bench, name: Way): Promise<void> {
    const { pages, traces } = ways[name]
    const port = await freePort()
    const relay = await LivingRelay.start(bench, [
      ...(traces ? ['--import', ...programArgs('dropping-traces')] : []),
      builtMain,
      'relay',
      ...(pages.length > 0 ? ['--listen', String(port), '--dashboard', traces ? 'on' : 'off'] : []),
    ])
    this.#relays.set(name, { relay, urls: pages.map((page) => `http://127.0.0.1:${port}${page}`) })
  }

  async portion(name: Way, { messages }: Case) {
    const { relay, urls } = this.#relays.get(name)!
    const figures = await relay.portion({ messages, keys: 10_000, traced: true }, () => new Looks(urls))
    // Without a span there is nothing to compare.
    if (ways[name].traces) await relay.line('spans: send ')
    return figures
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#relays.values()].map(({ relay }) => relay[Symbol.asyncDispose]()))
  }
}
