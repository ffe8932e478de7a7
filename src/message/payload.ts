import { types } from 'node:util'
import { OutboxError } from './errors.ts'
import { isWellFormed } from './text.ts'

/** Deepest nesting of a payload: what Jackson, the JSON parser of most Kafka consumers, reads by default (StreamReadConstraints). */
const maxDepth = 1000

/** What a JSON payload may be; `toJSON` is honoured, so a Date and Prisma's Decimal become strings. Members that are undefined vanish. */
export type JsonPayload = object | string | number | boolean

/**
 * The payload as JSON text. Throws INVALID_PAYLOAD, with the path, for everything that `JSON.stringify` would change silently: BigInt,
 * Map, class instances without `toJSON`, bytes inside of JSON, undefined in arrays, functions, symbols, NaN, Infinity, invalid dates,
 * cycles and unpaired surrogates. (-0 becomes 0; symbol properties are not data.)
 *
 * @param field where the payload stands, for the error: `payload`.
 */
export function encodeJson(payload: unknown, field: string): string {
  return new JsonWriter(field).write(payload, '')
}

/** One walk that checks and writes: two walks could see two different things through a getter or a `toJSON`. */
class JsonWriter {
  readonly #field: string
  /** Names and indexes on the way to the present value. */
  readonly #path: (string | number)[] = []
  /** The objects on that way: one that comes again closes a cycle. */
  readonly #open = new Set<object>()

  constructor(field: string) {
    this.#field = field
  }

  write(given: unknown, name: string): string {
    const value = this.#plain(given, name)
    switch (typeof value) {
      case 'string':
        if (!isWellFormed(value))
          throw this.#refuse('has an unpaired surrogate', 'Encode binary text first, for example as base64.')
        return JSON.stringify(value)
      case 'number':
        if (!Number.isFinite(value)) throw this.#refuse('is NaN or infinite', 'JSON has no such number: send null or a string.')
        return JSON.stringify(value)
      case 'boolean':
        return value ? 'true' : 'false'
      case 'object':
        return value === null ? 'null' : this.#container(value)
      case 'bigint':
        throw this.#refuse('is a BigInt', 'Write it as a string: String(value).')
      default:
        throw this.#refuse(
          `is ${value === undefined ? 'undefined' : `a ${typeof value}`}`,
          'JSON has no such value: leave it out or send null.',
        )
    }
  }

  /** What `toJSON` makes of the value; the value itself if it has none. */
  #plain(value: unknown, name: string): unknown {
    if ((typeof value !== 'object' || value === null) && typeof value !== 'bigint') return value
    if (types.isDate(value) && Number.isNaN(value.getTime())) throw this.#refuse('is an invalid Date', 'Send null instead.')
    // Buffer has a toJSON, but nobody wants { type: 'Buffer', data: [1, 2] } in Kafka.
    if (ArrayBuffer.isView(value))
      throw this.#refuse('holds bytes', 'Encode them as base64, or send the bytes as the whole payload.')
    try {
      const { toJSON } = value as { toJSON?: unknown }
      return typeof toJSON === 'function' ? toJSON.call(value, name) : value
    } catch (cause) {
      throw this.#refuse('has a toJSON that threw', 'See the cause.', cause)
    }
  }

  #container(value: object): string {
    if (this.#open.has(value))
      throw this.#refuse('refers back to an object that holds it', 'JSON has no cycles: send a copy without it.')
    if (this.#path.length >= maxDepth) throw this.#refuse(`is nested deeper than ${maxDepth} levels`, 'Flatten the payload.')
    this.#open.add(value)
    const text = Array.isArray(value) ? this.#array(value) : this.#object(value)
    this.#open.delete(value)
    return text
  }

  #array(array: unknown[]): string {
    const items: string[] = []
    // Not map(): it skips holes, and a hole is an undefined that JSON would turn into null.
    for (let i = 0; i < array.length; i++) items.push(this.#member(i, array[i]))
    return `[${items.join(',')}]`
  }

  #object(object: object): string {
    const prototype = Object.getPrototypeOf(object)
    // Object.prototype of another realm (Jest) is as plain as ours: it has no prototype itself.
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
      const kind = types.isMap(object) || types.isSet(object) ? 'a Map or Set' : 'an instance of a class without toJSON'
      throw this.#refuse(`is ${kind}`, 'Send a plain object or array of what consumers need.')
    }
    const members: string[] = []
    for (const [name, value] of Object.entries(object)) {
      if (value === undefined) continue
      if (!isWellFormed(name)) throw this.#refuse('has a property whose name has an unpaired surrogate', 'Rename the property.')
      members.push(`${JSON.stringify(name)}:${this.#member(name, value)}`)
    }
    return `{${members.join(',')}}`
  }

  #member(name: string | number, value: unknown): string {
    this.#path.push(name)
    const text = this.write(value, String(name))
    this.#path.pop()
    return text
  }

  #refuse(what: string, remedy: string, cause?: unknown): OutboxError {
    const field = pathTo(this.#field, this.#path)
    return new OutboxError('INVALID_PAYLOAD', `${field} ${what}.`, { field, remedy, cause })
  }
}

/** A place inside of a payload, for errors: `payload.items[3].price`; a deep one is cut. */
export function pathTo(field: string, path: readonly (string | number)[]): string {
  const steps = path.length > 12 ? [...path.slice(0, 12), '…'] : path
  return steps.reduce<string>((text, step) => text + describe(step), field)
}

function describe(step: string | number): string {
  if (typeof step === 'number') return `[${step}]`
  if (step === '…') return '…'
  return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(step) ? `.${step}` : `[${JSON.stringify(step.slice(0, 60))}]`
}
