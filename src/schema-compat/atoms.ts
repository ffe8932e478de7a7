import {
  allOf,
  asSchema,
  type JsonSchema,
  type JsonType,
  jsonTypes,
  keywordsOf,
  resolve,
  type SchemaObject,
  type Side,
  same,
  schemaList,
  takesAll,
  typeOf,
  typesOf,
  Undecided,
  without,
} from './json-schema.ts'

/** One kind of value that a writer may write: a single value, or the values of one type under all the given constraints. */
export type Atom = { literal: unknown } | { type: JsonType; parts: readonly SchemaObject[] }

/** More alternatives than any event has; nested unions multiply. */
const most = 500

/**
 * The writer's schema as a list of kinds, which together hold at least every value that it allows. What cannot be said this way
 * (conditions, negations) is left out: then the list holds more, and a "compatible" is all the safer.
 */
export function atomsOf(schema: JsonSchema, side: Side): Atom[] {
  const found = branches([schema], side).flatMap(kinds)
  if (found.length > most) throw new Undecided('it has too many alternatives')
  return found
}

/** Alternatives of a conjunction, each a list of schemas without `$ref`, `allOf`, `anyOf` and `oneOf`. */
function branches(open: readonly JsonSchema[], side: Side, done: readonly SchemaObject[] = [], depth = 0): SchemaObject[][] {
  if (depth > 100) throw new Undecided('it refers to itself without end')
  const [first, ...rest] = open
  if (first === undefined) return [[...done]]
  if (first === true) return branches(rest, side, done, depth + 1)
  if (first === false) return []
  if (first.not !== undefined && takesAll(asSchema(first.not))) return []
  if (first.$ref !== undefined) {
    return branches([resolve(first.$ref, side), without(first, '$ref'), ...rest], side, done, depth + 1)
  }
  if (first.allOf !== undefined) {
    return branches([...schemaList(first.allOf), without(first, 'allOf'), ...rest], side, done, depth + 1)
  }
  for (const union of ['anyOf', 'oneOf']) {
    if (first[union] === undefined) continue
    const others = without(first, union)
    const found = schemaList(first[union]).flatMap((branch) => branches([branch, others, ...rest], side, done, depth + 1))
    if (found.length > most) throw new Undecided('it has too many alternatives')
    return found
  }
  return branches(rest, side, keywordsOf(first).length === 0 ? done : [...done, first], depth + 1)
}

/** Kinds of one conjunction: its literals, or one for each type. */
function kinds(parts: SchemaObject[]): Atom[] {
  const types = new Set(jsonTypes.filter((type) => parts.every((part) => typesOf(part).has(type))))
  const lists = parts.flatMap(literalsOf)
  const [first, ...others] = lists
  if (first) {
    const allowed = first.filter(
      (value) => types.has(typeOf(value)) && others.every((list) => list.some((one) => same(one, value))),
    )
    return allowed.map((literal) => ({ literal }))
  }
  return [...types].flatMap((type): Atom[] => {
    if (type === 'null') return [{ literal: null }]
    if (type === 'boolean') return [{ literal: true }, { literal: false }]
    return [{ type, parts }]
  })
}

/** The lists of values that a schema names: `enum`, and `const` as a list of one. */
export function literalsOf(schema: SchemaObject): unknown[][] {
  return [...(Array.isArray(schema.enum) ? [schema.enum] : []), ...(Object.hasOwn(schema, 'const') ? [[schema.const]] : [])]
}

/** Schema that a schema sets for the property of that name. */
export function propertyOf(schema: SchemaObject, name: string, match: (pattern: string, name: string) => boolean): JsonSchema {
  const named = (schema.properties as SchemaObject | undefined) ?? {}
  const patterns = Object.entries((schema.patternProperties as SchemaObject | undefined) ?? {})
  const found = patterns.filter(([pattern]) => match(pattern, name)).map(([, value]) => asSchema(value))
  if (Object.hasOwn(named, name)) found.push(asSchema(named[name]))
  if (found.length > 0) return allOf(found)
  return schema.additionalProperties === undefined ? true : asSchema(schema.additionalProperties)
}
