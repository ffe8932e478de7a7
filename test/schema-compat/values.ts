import fc, { type Arbitrary } from 'fast-check'
import { type Generated, names } from './pairs.ts'

const flat = [null, true, false, 0, 1, -1, 0.5, 7, '', 'a', 'zzz']
const anyValue = fc.constantFrom<unknown>(...flat, [], [1, 'a'], {}, { a: 1 }, { zz: null })

/** Values near to the schema: mostly valid, often at a limit, sometimes with what the schema does not mention. */
export function valuesNear(schema: Generated, depth = 5): Arbitrary<unknown> {
  if (typeof schema === 'boolean' || depth === 0) return anyValue
  return fc.oneof({ withCrossShrink: true }, { arbitrary: anyValue, weight: 1 }, { arbitrary: meant(schema, depth), weight: 24 })
}

function meant(schema: { [keyword: string]: unknown }, depth: number): Arbitrary<unknown> {
  const branches = [schema.anyOf, schema.oneOf].find(Array.isArray) as Generated[] | undefined
  if (branches) return fc.oneof(...branches.map((branch) => valuesNear(branch, depth)))
  if (Array.isArray(schema.allOf)) {
    const parts = (schema.allOf as Generated[]).map((part) => valuesNear(part, depth))
    return fc.tuple(...parts).map((values) => (values.every(isObject) ? Object.assign({}, ...values.reverse()) : values[0]))
  }
  if (Object.hasOwn(schema, 'const')) return fc.constant(schema.const)
  if (Array.isArray(schema.enum)) return fc.constantFrom(...schema.enum)
  const types = [schema.type ?? ['string', 'number', 'array', 'object']].flat()
  return fc.oneof(...types.map((type) => ofType(type, schema, depth)))
}

const isObject = (value: unknown) => typeof value === 'object' && value !== null

function ofType(type: unknown, schema: { [keyword: string]: unknown }, depth: number): Arbitrary<unknown> {
  switch (type) {
    case 'string':
      return fc.constantFrom(
        '',
        'a',
        'ab',
        'b',
        'abab',
        'new',
        'bba',
        'a'.repeat(Number(schema.maxLength ?? schema.minLength ?? 1)),
      )
    case 'integer':
    case 'number': {
      const limit = Number(schema.minimum ?? schema.exclusiveMinimum ?? schema.maximum ?? schema.exclusiveMaximum ?? 0)
      return fc.constantFrom(...(type === 'integer' ? [0, 1, -1, 2, 3] : [0, 1, -1, 0.5, -0.5, 2])).map((step) => limit + step)
    }
    case 'array':
      return arrayNear(schema, depth)
    case 'object':
      return objectNear(schema, depth)
    default:
      return type === 'null' ? fc.constant(null) : fc.boolean()
  }
}

function arrayNear(schema: { [keyword: string]: unknown }, depth: number): Arbitrary<unknown> {
  const prefix = (schema.prefixItems as Generated[] | undefined) ?? []
  const rest = (schema.items as Generated | undefined) ?? true
  const items = [0, 1, 2].map((i) => valuesNear(prefix[i] ?? rest, depth - 1))
  return fc.tuple(fc.nat(3), ...items).map(([length, ...drawn]) => drawn.slice(0, length))
}

function objectNear(schema: { [keyword: string]: unknown }, depth: number): Arbitrary<unknown> {
  const properties = (schema.properties as Record<string, Generated> | undefined) ?? {}
  const required = (schema.required as string[] | undefined) ?? []
  const rest = (schema.additionalProperties as Generated | undefined) ?? true
  const members = [...names, 'n'].map((name) => {
    const member = valuesNear(properties[name] ?? rest, depth - 1).map((value) => ({ [name]: value }))
    if (required.includes(name)) return member
    const absent = { arbitrary: fc.constant({}), weight: Object.hasOwn(properties, name) ? 1 : 4 }
    return fc.oneof({ withCrossShrink: true }, absent, { arbitrary: member, weight: 1 })
  })
  return fc.tuple(...members).map((drawn) => Object.assign({}, ...drawn))
}
