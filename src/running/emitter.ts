/** Name and fields of one event of a list, whichever it is. The name tells the type of the fields. */
export type NamedEvent<Events> = { [E in keyof Events]: [name: E, event: Events[E]] }[keyof Events]

/** Gets the name and the fields of every event. */
export type Listener<Events> = (...event: NamedEvent<Events>) => unknown

/** Events of a relay, an inbox or a projection can be listened to. */
export interface Listenable<Events> {
  /**
   * Calls `handler` with each event of that name, in the order of the events. Register before `start` or `run`: earlier events are not
   * repeated. Errors and rejections of a handler are ignored; they reach neither the emitter nor other handlers.
   *
   * @returns a function that removes the handler.
   * @example
   * ```ts
   * const off = relay.on('dead_lettered', (event) => alarm(event.topic, event.messageId))
   * ```
   */
  on<E extends keyof Events>(name: E, handler: (event: Events[E]) => unknown): () => void
  /**
   * Calls `handler` with the name and the fields of every event.
   *
   * @example
   * ```ts
   * relay.on('*', (name, event) => console.log(name, event))
   * ```
   */
  on(name: '*', handler: Listener<Events>): () => void
  on(name: '*', handler: (name: keyof Events) => unknown): () => void
}

/** Hands events to the handlers that are registered for them. */
export class Emitter<Events> implements Listenable<Events> {
  readonly #handlers = new Map<keyof Events | '*', Set<(...args: never[]) => unknown>>()

  on<E extends keyof Events>(name: E, handler: (event: Events[E]) => unknown): () => void
  on(name: '*', handler: Listener<Events>): () => void
  on(name: '*', handler: (name: keyof Events) => unknown): () => void
  on(name: keyof Events | '*', handler: (...args: never[]) => unknown): () => void {
    const handlers = this.#handlers.get(name) ?? new Set()
    this.#handlers.set(name, handlers.add(handler))
    return () => void handlers.delete(handler)
  }

  emit<E extends keyof Events>(name: E, event: Events[E]): void {
    for (const handler of this.#handlers.get(name) ?? []) ignoringErrors(() => handler(event as never))
    for (const handler of this.#handlers.get('*') ?? []) ignoringErrors(() => handler(name as never, event as never))
  }
}

/** A full disk under the log must not stop the messages, and a rejection that nobody handles would end the process. */
function ignoringErrors(call: () => unknown): void {
  try {
    const result = call()
    if (typeof result === 'object') Promise.resolve(result).catch(() => {})
  } catch {}
}
