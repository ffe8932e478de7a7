import { accepts } from './accepts.ts'
import { propertyOf } from './atoms.ts'
import { type Comparison, comparePart, type Misfit } from './fits.ts'
import { isOthers, largest, limit, smallest } from './fits-scalar.ts'
import { allOf, asSchema, type JsonSchema, matches, type SchemaObject, schemaMap, Undecided } from './json-schema.ts'

/** What a reader's keyword asks of the writer's objects. */
export function objectFits(parts: readonly SchemaObject[], reader: SchemaObject, keyword: string, at: Comparison): Misfit[] {
  const given = reader[keyword]
  switch (keyword) {
    case 'required':
      return namesIn(given).flatMap((name) =>
        requiredOf(parts).has(name) ? [] : [{ path: at.path + member(name), reason: 'it is now required' }],
      )
    case 'properties':
      return [...schemaMap(given)].flatMap(([name, schema]) => comparePart(writtenUnder(parts, name), schema, at, member(name)))
    case 'additionalProperties':
      return additionalFit(parts, reader, at)
    case 'patternProperties':
      return [...schemaMap(given)].flatMap(([pattern, schema]) => patternFits(parts, pattern, schema, at))
    case 'propertyNames':
      return namesFit(parts, asSchema(given), at)
    case 'minProperties': {
      const before = Math.max(largest(parts, keyword, 0), requiredOf(parts).size)
      return limit(before < Number(given), keyword, before, given, at)
    }
    case 'maxProperties': {
      const before = Math.min(smallest(parts, keyword), ...(restOf(parts) === false ? [namesOf(parts).size] : []))
      return limit(before > Number(given), keyword, before, given, at)
    }
    default:
      return isOthers(keyword) ? [] : []
  }
}

const namesIn = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : [])

const requiredOf = (parts: readonly SchemaObject[]) => new Set(parts.flatMap((part) => namesIn(part.required)))

/** Names that the writer's parts mention. */
const namesOf = (parts: readonly SchemaObject[]) => new Set(parts.flatMap((part) => [...schemaMap(part.properties).keys()]))

/** What the writer may write under a name. */
const writtenUnder = (parts: readonly SchemaObject[], name: string) => allOf(parts.map((part) => propertyOf(part, name, matches)))

/** What the writer may write under names that it does not mention: of a part that has patterns, what one of them allows as well. */
function restOf(parts: readonly SchemaObject[]): JsonSchema {
  const rests = parts.map((part): JsonSchema => {
    const additional = part.additionalProperties === undefined ? true : asSchema(part.additionalProperties)
    const patterns = [...schemaMap(part.patternProperties).values()]
    return patterns.length === 0 ? additional : { anyOf: [additional, ...patterns] }
  })
  return rests.includes(false) ? false : allOf(rests)
}

/** What the reader asks of the names that it does not mention. */
function additionalFit(parts: readonly SchemaObject[], reader: SchemaObject, at: Comparison): Misfit[] {
  const mentioned = schemaMap(reader.properties)
  const patterns = [...schemaMap(reader.patternProperties).keys()]
  const schema = asSchema(reader.additionalProperties)
  const named = [...namesOf(parts)].filter((name) => !mentioned.has(name) && !patterns.some((pattern) => matches(pattern, name)))
  return [
    ...named.flatMap((name) => comparePart(writtenUnder(parts, name), schema, at, member(name))),
    ...comparePart(restOf(parts), schema, at, '.*'),
  ]
}

/** What the reader asks of the names that match; of those that the writer does not mention, any may. */
function patternFits(parts: readonly SchemaObject[], pattern: string, schema: JsonSchema, at: Comparison): Misfit[] {
  const named = [...namesOf(parts)].filter((name) => matches(pattern, name))
  return [
    ...named.flatMap((name) => comparePart(writtenUnder(parts, name), schema, at, member(name))),
    ...comparePart(restOf(parts), schema, at, '.*'),
  ]
}

function namesFit(parts: readonly SchemaObject[], names: JsonSchema, at: Comparison): Misfit[] {
  const refused = [...namesOf(parts)].filter((name) => writtenUnder(parts, name) !== false && !accepts(names, name, at.reader))
  const misfits = refused.map((name) => ({ path: at.path + member(name), reason: 'the name is no longer allowed' }))
  if (restOf(parts) === false) return misfits
  const written = allOf([
    { type: 'string' },
    ...parts.flatMap((part) => (part.propertyNames === undefined ? [] : [asSchema(part.propertyNames)])),
  ])
  if (parts.some((part) => part.patternProperties !== undefined)) throw new Undecided('names with patterns are not compared')
  return [...misfits, ...comparePart(written, names, at, '.*')]
}

/** A step of the path. */
const member = (name: string) => (/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`)
