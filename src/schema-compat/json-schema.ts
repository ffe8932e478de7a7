import { isDeepStrictEqual } from 'node:util'

/** A JSON Schema of draft 2020-12, as schema libraries make it. */
export type JsonSchema = boolean | SchemaObject

/** A schema with keywords; those that the comparison does not know make its answer "cannot tell". */
export interface SchemaObject {
  readonly [keyword: string]: unknown
}

/** A schema and the document that its `$ref`s point into. */
export interface Side {
  readonly root: JsonSchema
}

/** The comparison cannot tell. It never means "compatible". */
export class Undecided extends Error {}

/** Words about a schema, which refuse no value. */
const annotations = new Set([
  '$schema',
  '$id',
  '$comment',
  'id',
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
  '$defs',
  'definitions',
])

/** Keywords of a schema that refuse values. */
export function keywordsOf(schema: SchemaObject): string[] {
  return Object.keys(schema).filter((keyword) => !annotations.has(keyword))
}

/** Whether the schema takes every value. */
export const takesAll = (schema: JsonSchema): boolean =>
  schema === true || (typeof schema === 'object' && keywordsOf(schema).length === 0)

/** The schema without one of its keywords. */
export function without(schema: SchemaObject, ...keywords: string[]): SchemaObject {
  return Object.fromEntries(Object.entries(schema).filter(([keyword]) => !keywords.includes(keyword)))
}

/** The schema that a `$ref` names, within the document. */
export function resolve(ref: unknown, { root }: Side): JsonSchema {
  if (typeof ref !== 'string' || !ref.startsWith('#')) throw new Undecided('it refers to another document')
  const steps = ref === '#' ? [] : ref.slice(2).split('/').map(decodePointer)
  let place: unknown = root
  for (const step of steps) {
    if (typeof place !== 'object' || place === null || !Object.hasOwn(place, step)) throw new Undecided(`${ref} leads nowhere`)
    place = (place as SchemaObject)[step]
  }
  return asSchema(place)
}

const decodePointer = (step: string) => decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')

/** The value as a schema, where only a schema can stand. */
export function asSchema(value: unknown): JsonSchema {
  if (typeof value === 'boolean') return value
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as SchemaObject
  throw new Undecided('a schema has an unknown form')
}

/** The schemas of a list keyword: `anyOf`, `prefixItems`. */
export function schemaList(value: unknown): JsonSchema[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) throw new Undecided('a list of schemas has an unknown form')
  return value.map(asSchema)
}

/** The schemas of a map keyword: `properties`, `patternProperties`. */
export function schemaMap(value: unknown): Map<string, JsonSchema> {
  if (typeof value !== 'object' || value === null) return new Map()
  return new Map(Object.entries(value).map(([name, schema]) => [name, asSchema(schema)]))
}

/** A schema that all of them make together. */
export function allOf(schemas: readonly JsonSchema[]): JsonSchema {
  const telling = schemas.filter((schema) => !takesAll(schema))
  if (telling.length === 0) return true
  return telling.length === 1 ? telling[0]! : { allOf: telling }
}

/** Whether the pattern finds something in the text, as JSON Schema means it. */
export function matches(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(text)
  } catch {
    throw new Undecided(`the pattern ${JSON.stringify(pattern.slice(0, 60))} is not understood`)
  }
}

/** Whether two values are the same in JSON, the order of members aside. */
export const same = (a: unknown, b: unknown): boolean => isDeepStrictEqual(a, b)

/** The types that JSON has. */
export const jsonTypes = ['null', 'boolean', 'number', 'string', 'array', 'object'] as const

/** One of {@link jsonTypes}. */
export type JsonType = (typeof jsonTypes)[number]

/** Type of a value. */
export function typeOf(value: unknown): JsonType {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'array'
  return typeof value as JsonType
}

/** What the keyword `type` allows; a whole number is a number. */
export function typesOf({ type }: SchemaObject): Set<JsonType> {
  if (type === undefined) return new Set(jsonTypes)
  const names = (Array.isArray(type) ? type : [type]).map((name) => (name === 'integer' ? 'number' : name))
  return new Set(jsonTypes.filter((name) => names.includes(name)))
}

/** Whether its numbers must be whole. */
export function wholeNumbers({ type }: SchemaObject): boolean {
  const names = Array.isArray(type) ? type : [type]
  return names.includes('integer') && !names.includes('number')
}
