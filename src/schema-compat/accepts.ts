import { literalsOf, propertyOf } from './atoms.ts'
import {
  asSchema,
  type JsonSchema,
  keywordsOf,
  matches,
  resolve,
  type SchemaObject,
  type Side,
  same,
  schemaList,
  typeOf,
  typesOf,
  Undecided,
  wholeNumbers,
} from './json-schema.ts'

type Check = (value: never, given: never, schema: SchemaObject, side: Side) => boolean

/** What each keyword asks of a value of its type; a value of another type passes. */
const checks: Record<string, Check> = {
  minLength: (text: string, least: number) => [...text].length >= least,
  maxLength: (text: string, most: number) => [...text].length <= most,
  pattern: (text: string, pattern: string) => matches(pattern, text),
  minimum: (value: number, least: number) => value >= least,
  maximum: (value: number, most: number) => value <= most,
  exclusiveMinimum: (value: number, limit: number) => value > limit,
  exclusiveMaximum: (value: number, limit: number) => value < limit,
  multipleOf: (value: number, of: number) => {
    if (!Number.isInteger(value) || !Number.isInteger(of)) throw new Undecided('multiples of fractions are not exact')
    return value % of === 0
  },
  minItems: (list: unknown[], least: number) => list.length >= least,
  maxItems: (list: unknown[], most: number) => list.length <= most,
  prefixItems: (list: unknown[], items: unknown, _schema, side) =>
    schemaList(items).every((item, i) => i >= list.length || accepts(item, list[i], side)),
  items: (list: unknown[], item: unknown, schema, side) =>
    list.slice(schemaList(schema.prefixItems).length).every((one) => accepts(asSchema(item), one, side)),
  required: (object: object, names: string[]) => names.every((name) => Object.hasOwn(object, name)),
  minProperties: (object: object, least: number) => Object.keys(object).length >= least,
  maxProperties: (object: object, most: number) => Object.keys(object).length <= most,
  propertyNames: (object: object, names: unknown, _schema, side) =>
    Object.keys(object).every((name) => accepts(asSchema(names), name, side)),
  properties: members,
  patternProperties: members,
  additionalProperties: members,
}

const stringChecks = ['minLength', 'maxLength', 'pattern']
const numberChecks = ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf']
const arrayChecks = ['minItems', 'maxItems', 'prefixItems', 'items']

function members(object: object, _given: never, schema: SchemaObject, side: Side): boolean {
  return Object.entries(object).every(([name, value]) => accepts(propertyOf(schema, name, matches), value, side))
}

/** Whether the schema takes the value. Throws {@link Undecided} for keywords that are not understood. */
export function accepts(schema: JsonSchema, value: unknown, side: Side, depth = 0): boolean {
  if (typeof schema === 'boolean') return schema
  if (depth > 100) throw new Undecided('it refers to itself without end')
  return keywordsOf(schema).every((keyword) => takes(schema, keyword, value, side, depth + 1))
}

function takes(schema: SchemaObject, keyword: string, value: unknown, side: Side, depth: number): boolean {
  const given = schema[keyword]
  const branch = (one: JsonSchema) => accepts(one, value, side, depth)
  switch (keyword) {
    case '$ref':
      return branch(resolve(given, side))
    case 'allOf':
      return schemaList(given).every(branch)
    case 'anyOf':
      return schemaList(given).some(branch)
    case 'oneOf':
      return schemaList(given).filter(branch).length === 1
    case 'not':
      return !branch(asSchema(given))
    case 'type':
      return typesOf(schema).has(typeOf(value)) && (!wholeNumbers(schema) || typeof value !== 'number' || Number.isInteger(value))
    case 'enum':
    case 'const':
      return literalsOf(schema).every((list) => list.some((one) => same(one, value)))
    default: {
      const check = checks[keyword]
      if (!check) throw new Undecided(`the keyword ${keyword} is not understood`)
      return !concerns(keyword, value) || check(value as never, given as never, schema, side)
    }
  }
}

function concerns(keyword: string, value: unknown): boolean {
  if (stringChecks.includes(keyword)) return typeof value === 'string'
  if (numberChecks.includes(keyword)) return typeof value === 'number'
  return typeOf(value) === (arrayChecks.includes(keyword) ? 'array' : 'object')
}
