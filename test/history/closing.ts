/** Closes what was opened, in reverse order, whatever happens: `await using closing = new Closing()`. */
export class Closing implements AsyncDisposable {
  readonly #steps: (() => unknown)[] = []

  add(step: () => unknown): void {
    this.#steps.push(step)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const step of this.#steps.splice(0).reverse()) {
      try {
        await step()
      } catch (error) {
        console.error(`Closing: ${error}`)
      }
    }
  }
}
