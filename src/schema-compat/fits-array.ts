import { type Comparison, comparePart, type Misfit } from './fits.ts'
import { isOthers, largest, limit, smallest } from './fits-scalar.ts'
import { allOf, asSchema, type JsonSchema, type SchemaObject, schemaList } from './json-schema.ts'

/** What a reader's keyword asks of the writer's arrays. */
export function arrayFits(parts: readonly SchemaObject[], reader: SchemaObject, keyword: string, at: Comparison): Misfit[] {
  const given = reader[keyword]
  switch (keyword) {
    case 'minItems': {
      const before = largest(parts, keyword, 0)
      return limit(before < Number(given), keyword, before, given, at)
    }
    case 'maxItems': {
      const before = longest(parts)
      return limit(before > Number(given), keyword, before, given, at)
    }
    case 'uniqueItems': {
      const kept = given !== true || longest(parts) <= 1 || parts.some((part) => part.uniqueItems === true)
      return kept ? [] : [{ path: at.path, reason: 'items must now be unique' }]
    }
    case 'prefixItems':
      return schemaList(given).flatMap((item, i) => (i < longest(parts) ? comparePart(itemOf(parts, i), item, at, `[${i}]`) : []))
    case 'items':
      return itemsFit(parts, reader, at)
    default:
      return isOthers(keyword) ? [] : []
  }
}

/** All items behind the reader's fixed places: those at fixed places of the writer one by one, and the rest together. */
function itemsFit(parts: readonly SchemaObject[], reader: SchemaObject, at: Comparison): Misfit[] {
  const item = asSchema(reader.items)
  const [first, last] = [schemaList(reader.prefixItems).length, fixedPlaces(parts)]
  const most = longest(parts)
  const misfits: Misfit[] = []
  for (let i = first; i < Math.min(last, most); i++) misfits.push(...comparePart(itemOf(parts, i), item, at, `[${i}]`))
  const behind = Math.max(first, last)
  if (most > behind) misfits.push(...comparePart(itemOf(parts, behind), item, at, '[]'))
  return misfits
}

const fixedPlaces = (parts: readonly SchemaObject[]) => Math.max(0, ...parts.map((part) => schemaList(part.prefixItems).length))

/** Schema of the item at a place; behind all fixed places it is that of the rest. */
function itemOf(parts: readonly SchemaObject[], place: number): JsonSchema {
  return allOf(
    parts.map((part) => schemaList(part.prefixItems)[place] ?? (part.items === undefined ? true : asSchema(part.items))),
  )
}

/** Most items that the parts allow. */
function longest(parts: readonly SchemaObject[]): number {
  const closed = parts.filter((part) => part.items === false).map((part) => schemaList(part.prefixItems).length)
  return Math.min(smallest(parts, 'maxItems'), ...closed)
}
