/** Closes what was opened, in reverse order, whatever happens: `await using closing = new Closing()`. */
export class Closing implements AsyncDisposable {
  readonly #steps: (() => unknown)[] = []

  add(step: () => unknown): void {
    this.#steps.push(step)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const step of this.#steps.reverse()) {
      try {
        await step()
      } catch {
        // What is broken is as good as closed; the rest must still be.
      }
    }
  }
}
