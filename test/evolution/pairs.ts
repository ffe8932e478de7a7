import { randomFrom } from '../../src/proof/random.ts'

/** A schema as it is generated here: plain keywords, so that a pair can be changed in one place. */
export type Generated = boolean | { [keyword: string]: unknown }

/** Draws of one seed. */
export class Dice {
  readonly #next: () => number

  constructor(seed: number) {
    // Neighbouring seeds begin alike with this generator.
    this.#next = randomFrom(seed * 48_611 + 7)
    for (let i = 0; i < 5; i++) this.#next()
  }

  /** A whole number below `n`. */
  below(n: number): number {
    return Math.floor(this.#next() * n)
  }

  one<T>(...choices: T[]): T {
    return choices[this.below(choices.length)]!
  }

  chance(of: number): boolean {
    return this.below(of) === 0
  }
}

const names = ['a', 'b', 'c', 'k']

/** A schema of a few levels, with everything that schema libraries write. */
export function schemaOf(dice: Dice, depth = 3): Generated {
  const leaf = [text, number, literal, () => ({ type: dice.one('boolean', 'null') }), () => dice.one<Generated>(true, {})]
  const deep = [
    object,
    object,
    object,
    array,
    union,
    tagged,
    record,
    () => ({ allOf: [object(dice, depth), object(dice, depth)] }),
  ]
  return dice.one(...leaf, ...(depth > 0 ? deep : []))(dice, depth)
}

function text(dice: Dice): Generated {
  return {
    type: 'string',
    ...(dice.chance(3) && { minLength: dice.below(3) }),
    ...(dice.chance(3) && { maxLength: 1 + dice.below(4) }),
    ...(dice.chance(4) && { pattern: dice.one('^a', 'b$', '^[ab]*$') }),
  }
}

function number(dice: Dice): Generated {
  return {
    type: dice.one<unknown>('number', 'integer', ['integer', 'null'], ['number', 'string']),
    ...(dice.chance(3) && { [dice.one('minimum', 'exclusiveMinimum')]: dice.below(4) - 2 }),
    ...(dice.chance(3) && { [dice.one('maximum', 'exclusiveMaximum')]: dice.below(4) }),
    ...(dice.chance(6) && { multipleOf: dice.one(1, 2, 4) }),
  }
}

function literal(dice: Dice): Generated {
  const values = ['a', 'b', 'ab', 1, 2, null, true].filter(() => dice.chance(2))
  return dice.chance(3) || values.length === 0 ? { const: dice.one<unknown>('a', 1) } : { enum: values }
}

function object(dice: Dice, depth: number): Generated {
  const own = names.filter(() => dice.chance(2))
  return {
    type: 'object',
    properties: Object.fromEntries(own.map((name) => [name, schemaOf(dice, depth - 1)])),
    ...(dice.chance(2) && { required: names.filter((name) => (own.includes(name) ? dice.chance(2) : dice.chance(8))) }),
    ...(dice.chance(2) && { additionalProperties: dice.chance(3) ? schemaOf(dice, 0) : false }),
    ...(dice.chance(6) && { patternProperties: { '^[ab]': schemaOf(dice, 0) } }),
    ...(dice.chance(8) && { propertyNames: dice.one<Generated>({ maxLength: 1 }, { enum: ['a', 'b', 'c'] }) }),
    ...(dice.chance(8) && { [dice.one('minProperties', 'maxProperties')]: dice.below(3) }),
  }
}

function record(dice: Dice, depth: number): Generated {
  return { type: 'object', propertyNames: { type: 'string' }, additionalProperties: schemaOf(dice, depth - 1) }
}

function array(dice: Dice, depth: number): Generated {
  return {
    type: 'array',
    ...(dice.chance(3) && { prefixItems: [schemaOf(dice, depth - 1), schemaOf(dice, 0)] }),
    ...(!dice.chance(4) && { items: dice.chance(5) ? false : schemaOf(dice, depth - 1) }),
    ...(dice.chance(4) && { minItems: dice.below(3) }),
    ...(dice.chance(4) && { maxItems: 1 + dice.below(3) }),
    ...(dice.chance(8) && { uniqueItems: true }),
  }
}

function union(dice: Dice, depth: number): Generated {
  const branches = [schemaOf(dice, depth - 1), schemaOf(dice, depth - 1)]
  return { [dice.one('anyOf', 'anyOf', 'oneOf')]: branches, ...(dice.chance(6) && { type: 'object' }) }
}

/** A union told apart by a property, as a discriminated union. */
function tagged(dice: Dice): Generated {
  const branch = (k: string) => ({
    ...(object(dice, 1) as object),
    properties: { k: { const: k }, n: schemaOf(dice, 0) },
    required: ['k'],
  })
  return { oneOf: ['x', 'y', 'z'].slice(0, 1 + dice.below(3)).map(branch) }
}

/** The schema with a change in one place, as evolution makes it: mostly small, so that many pairs stay compatible. */
export function changed(schema: Generated, dice: Dice): Generated {
  if (typeof schema === 'boolean' || dice.chance(6))
    return dice.one(schema, schemaOf(dice, 1), { anyOf: [schema, schemaOf(dice, 0)] })
  const keywords = Object.keys(schema)
  const keyword = keywords[dice.below(keywords.length)]
  if (keyword === undefined) return schemaOf(dice, 1)
  const value = schema[keyword]
  if (dice.chance(6)) return Object.fromEntries(Object.entries(schema).filter(([name]) => name !== keyword))
  if (typeof value === 'number')
    return { ...schema, [keyword]: Math.max(keyword === 'multipleOf' ? 1 : 0, value + dice.one(-1, 1)) }
  if (keyword === 'type')
    return dice.chance(2) && value === 'integer'
      ? { ...schema, type: 'number' }
      : { ...schema, type: [...new Set([value, 'null'].flat())] }
  if (keyword === 'required' && Array.isArray(value)) {
    return { ...schema, required: dice.chance(2) ? value.slice(1) : [...new Set([...value, dice.one(...names)])] }
  }
  if (keyword === 'enum' && Array.isArray(value)) {
    return { ...schema, enum: dice.chance(2) && value.length > 1 ? value.slice(1) : [...new Set([...value, 'new'])] }
  }
  if (Array.isArray(value)) {
    const list = value as Generated[]
    if (dice.chance(3)) return { ...schema, [keyword]: [...list, schemaOf(dice, 1)] }
    const at = dice.below(list.length)
    return { ...schema, [keyword]: list.map((one, i) => (i === at ? changed(one, dice) : one)) }
  }
  if (keyword === 'properties') {
    const map = value as Record<string, Generated>
    const name = dice.one(...names)
    return { ...schema, properties: { ...map, [name]: Object.hasOwn(map, name) ? changed(map[name]!, dice) : schemaOf(dice, 1) } }
  }
  if (keyword === 'uniqueItems') return { ...schema, uniqueItems: !value }
  if (typeof value === 'boolean' || keyword === 'additionalProperties')
    return { ...schema, [keyword]: dice.one<Generated>(true, false, changed(value as Generated, dice)) }
  return schema
}

/** A value near to the schema: mostly valid, often at a limit, sometimes with what the schema does not mention. */
export function valueNear(schema: Generated, dice: Dice, depth = 5): unknown {
  if (typeof schema === 'boolean' || depth === 0 || dice.chance(25)) return anyValue(dice, depth)
  const branches = [schema.anyOf, schema.oneOf].find(Array.isArray) as Generated[] | undefined
  if (branches) return valueNear(dice.one(...branches), dice, depth)
  if (Array.isArray(schema.allOf)) {
    const values = (schema.allOf as Generated[]).map((part) => valueNear(part, dice, depth))
    return values.every((value) => typeof value === 'object' && value !== null)
      ? Object.assign({}, ...values.reverse())
      : values[0]
  }
  if (Object.hasOwn(schema, 'const')) return schema.const
  if (Array.isArray(schema.enum)) return dice.one(...schema.enum)
  const type = dice.one(...[schema.type ?? dice.one('string', 'number', 'array', 'object')].flat())
  switch (type) {
    case 'string':
      return dice.one('', 'a', 'ab', 'b', 'abab', 'new', 'bba', 'a'.repeat(Number(schema.maxLength ?? schema.minLength ?? 1)))
    case 'integer':
    case 'number': {
      const limit = Number(schema.minimum ?? schema.exclusiveMinimum ?? schema.maximum ?? schema.exclusiveMaximum ?? 0)
      return limit + (type === 'integer' ? dice.one(-1, 0, 1, 2, 3) : dice.one(-1, 0, 0.5, 1, -0.5, 2))
    }
    case 'array': {
      const prefix = (schema.prefixItems as Generated[] | undefined) ?? []
      const length = dice.below(4)
      return Array.from({ length }, (_, i) =>
        valueNear(prefix[i] ?? (schema.items as Generated | undefined) ?? true, dice, depth - 1),
      )
    }
    case 'object':
      return objectNear(schema, dice, depth)
    default:
      return type === 'null' ? null : dice.chance(2)
  }
}

function objectNear(schema: { [keyword: string]: unknown }, dice: Dice, depth: number): unknown {
  const properties = (schema.properties as Record<string, Generated> | undefined) ?? {}
  const required = (schema.required as string[] | undefined) ?? []
  const rest = (schema.additionalProperties as Generated | undefined) ?? true
  const present = [...names, 'n'].filter(
    (name) => required.includes(name) || dice.chance(Object.hasOwn(properties, name) ? 2 : 5),
  )
  return Object.fromEntries(present.map((name) => [name, valueNear(properties[name] ?? rest, dice, depth - 1)]))
}

function anyValue(dice: Dice, depth: number): unknown {
  const flat = [null, true, false, 0, 1, -1, 0.5, 7, '', 'a', 'zzz']
  return dice.one<unknown>(...flat, ...(depth > 0 ? [[], [1, 'a'], {}, { a: 1 }, { zz: null }] : []))
}
