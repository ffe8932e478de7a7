import { isDeepStrictEqual } from 'node:util'

/** Names and indexes that lead to a place inside of a value. */
export type Path = (string | number)[]

/**
 * Way to the first place where two values differ; undefined if they are equal. `partly`: an object of `found` may have more properties
 * than the one expected.
 */
export function difference(expected: unknown, found: unknown, how: 'wholly' | 'partly', path: Path = []): Path | undefined {
  if (isDeepStrictEqual(expected, found)) return undefined
  if (!hasParts(expected) || !hasParts(found) || Array.isArray(expected) !== Array.isArray(found)) return path
  const isList = Array.isArray(expected)
  const more = how === 'wholly' || isList ? Object.keys(found) : []
  for (const name of new Set([...Object.keys(expected), ...more])) {
    const at = difference(expected[name], found[name], how, [...path, isList ? Number(name) : name])
    if (at) return at
  }
  return how === 'wholly' ? path : undefined
}

/** An object or an array; bytes are compared as a whole. */
const hasParts = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !(value instanceof Uint8Array)
