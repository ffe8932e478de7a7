import { setTimeout as sleep } from 'node:timers/promises'

/** Milliseconds between two looks: as often as an open overview asks, and more often than Prometheus by default. */
const lookMs = 5_000

/** Asks for pages at once and every five seconds, until it is disposed of. Then an error tells of a page that did not answer. */
export class Looks implements AsyncDisposable {
  readonly #end = new AbortController()
  readonly #done: Promise<unknown>

  constructor(urls: readonly string[]) {
    this.#done = Promise.all(urls.map((url) => this.#look(url)))
    // Anyone who disposes of it hears of it.
    this.#done.catch(() => {})
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#end.abort()
    await this.#done
  }

  async #look(url: string): Promise<void> {
    const { signal } = this.#end
    while (!signal.aborted) {
      const response = await fetch(url)
      await response.text()
      if (!response.ok) throw new Error(`${url} answered ${response.status}: what was measured then was not watched.`)
      await sleep(lookMs, undefined, { signal }).catch(() => {})
    }
  }
}
