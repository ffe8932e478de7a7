/** Gets every event of a list. */
export type Listener<Events> = <E extends keyof Events>(event: E, fields: Events[E]) => void

/** InFlights events to subscribers. One that throws, or whose promise rejects, is told so by nobody and harms nothing. */
export class Emitter<Events> {
  readonly #subscribers = new Set<Listener<Events>>()

  /** Adds a subscriber; the returned function removes it. */
  subscribe(subscriber: Listener<Events>): () => void {
    this.#subscribers.add(subscriber)
    return () => this.#subscribers.delete(subscriber)
  }

  emit<E extends keyof Events>(event: E, fields: Events[E]): void {
    for (const subscriber of this.#subscribers) {
      try {
        // An async function is a Listener to the compiler; its rejection would end the process.
        const told: unknown = subscriber(event, fields)
        if (told instanceof Promise) told.catch(() => {})
      } catch {
        // A full disk under the log must not stop the messages.
      }
    }
  }
}
