import { setTimeout as sleep } from 'node:timers/promises'
import { builtMain } from '../../test/support/build.ts'
import { freePort } from '../../test/support/ports.ts'
import type { Backlog } from '../backlog.ts'
import { contenders } from '../contenders.ts'
import { drain } from '../drain.ts'
import type { Mode } from '../mode.ts'
import { programArgs } from '../program.ts'

/** Ways to watch the relay: the pages that are asked for, and whether it makes spans. */
const ways = {
  unwatched: { pages: [], traces: false },
  metrics: { pages: ['/metrics'], traces: false },
  everything: { pages: ['/metrics', '/'], traces: true },
} as const satisfies Record<string, { pages: readonly string[]; traces: boolean }>

/** Milliseconds between two looks: as often as an open overview asks, and more often than Prometheus by default. */
const lookMs = 5_000

/** Milliseconds to the next try while it does not listen yet. */
const startMs = 100

/** What metrics cost the relay, and what metrics, a span of each publish and an open dashboard cost it together. */
export const watchingMode: Mode<Backlog & { name: string }> = {
  cases: ({ messages = 1_000_000 }) => [{ name: `${messages} messages`, messages, keys: 10_000, traced: true }],
  contenders: Object.keys(ways),
  ratios: {
    figure: 'perSecond',
    pairs: [
      ['metrics', 'unwatched'],
      ['everything', 'unwatched'],
    ],
  },
  async measure(bench, contender, backlog) {
    const { pages, traces } = ways[contender as keyof typeof ways]
    const port = await freePort()
    const args = [
      ...(traces ? ['--import', ...programArgs('dropping-traces')] : []),
      builtMain,
      'relay',
      ...(pages.length > 0 ? ['--listen', String(port), '--dashboard', traces ? 'on' : 'off'] : []),
    ]
    await using _looks = new Looks(pages.map((page) => `http://127.0.0.1:${port}${page}`))
    return await drain(bench, { ...contenders.relay, args, ...(traces && { wrote: 'spans: send ' }) }, backlog)
  },
}

/** Asks for pages again and again. Ends with an error where one never answered: what was measured then was not watched. */
class Looks implements AsyncDisposable {
  readonly #seen = new Set<string>()
  readonly #urls: readonly string[]
  readonly #end = new AbortController()
  readonly #done: Promise<unknown>

  constructor(urls: readonly string[]) {
    this.#urls = urls
    this.#done = Promise.all(urls.map((url) => this.#look(url)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort()
    await this.#done
    const unseen = this.#urls.filter((url) => !this.#seen.has(url))
    if (unseen.length > 0) throw new Error(`Never answered: ${unseen.join(', ')}`)
  }

  async #look(url: string): Promise<void> {
    const { signal } = this.#end
    while (!signal.aborted) {
      try {
        const response = await fetch(url, { signal })
        await response.text()
        if (response.ok) this.#seen.add(url)
      } catch {
        // It does not listen yet, or any more.
      }
      await sleep(this.#seen.has(url) ? lookMs : startMs, undefined, { signal }).catch(() => {})
    }
  }
}
