// What holds for all copies of this package in a process. There may be several: the ES module and the CommonJS one, one in each bundle of a
// framework, one in each module registry of a test runner. Read when the modules that own such state are loaded.

/** In the names of what copies share. Raise it if the shape of a shared value changes: copies of two versions then share nothing. */
const format = 1

const shared = globalThis as unknown as Record<symbol, unknown>

const named = (name: string): symbol => Symbol.for(`prisma-extension-outbox/${format}/${name}`)

/** The value of that name, the same in all copies; the first copy makes it. */
export function oneForAll<T>(name: string, make: () => T): T {
  const key = named(name)
  shared[key] ??= make()
  return shared[key] as T
}

/**
 * Lets `instanceof` hold for instances of every copy's class of that name. Subclasses keep their own `instanceof`.
 *
 * @example static { instancesOfAll(TransportError, 'TransportError') }
 */
export function instancesOfAll(ours: abstract new (...given: never[]) => object, name: string): void {
  const brand = named(name)
  Object.defineProperty(ours.prototype, brand, { value: true })
  Object.defineProperty(ours, Symbol.hasInstance, {
    value(this: unknown, value: unknown): boolean {
      if (this !== ours) return Function.prototype[Symbol.hasInstance].call(this, value)
      return typeof value === 'object' && value !== null && brand in value
    },
  })
}
