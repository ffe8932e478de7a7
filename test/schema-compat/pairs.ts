import fc, { type Arbitrary } from 'fast-check'

/** A schema of plain keywords. */
export type Generated = boolean | { [keyword: string]: unknown }

/** What is written by one schema and read by the other. */
export interface Pair {
  writer: Generated
  reader: Generated
}

/** Something of both schemas, the same or not: one tree for the two, so that a pair gets smaller and stays a pair. */
type Both<T> = (side: keyof Pair) => T
type Part = Arbitrary<Both<object>>

/** Names of properties. */
export const names = ['a', 'b', 'c', 'k']

/** The same in both, but once in `n` times drawn for each. */
function forked<T>(n: number, part: Arbitrary<Both<T>>): Arbitrary<Both<T>> {
  const fork = fc.record({ writer: part, reader: part }).map((drawn) => (side: keyof Pair) => drawn[side](side))
  return fc.oneof({ withCrossShrink: true }, { arbitrary: part, weight: n - 1 }, { arbitrary: fork, weight: 1 })
}

/** One of them, each as often; what fails is made smaller to the first. */
const one = <T>(...choices: Arbitrary<T>[]): Arbitrary<T> => fc.oneof({ withCrossShrink: true }, ...choices)
const same = <T>(value: Arbitrary<T>): Arbitrary<Both<T>> => value.map((drawn) => () => drawn)
const list = <T>(...items: Arbitrary<Both<T>>[]): Arbitrary<Both<T[]>> =>
  fc.tuple(...items).map((drawn) => (side) => drawn.map((item) => item(side)))
const keyword = (name: string, value: Arbitrary<Both<unknown>>): Part => value.map((drawn) => (side) => ({ [name]: drawn(side) }))
const together = (...parts: Part[]): Part => list(...parts).map((drawn) => (side) => Object.assign({}, ...drawn(side)))

/** What stands in one schema of so many; evolution adds, drops and changes it. */
function rarely(n: number, part: Part): Part {
  const none = { arbitrary: same(fc.constant({})), weight: n - 1 }
  return forked(12, fc.oneof({ withCrossShrink: true }, none, { arbitrary: part, weight: 1 }))
}

const typed = (...types: unknown[]) => forked(20, keyword('type', same(fc.constantFrom(...types))))
const limit = (keywords: string[], value: Arbitrary<number>) => one(...keywords.map((name) => keyword(name, same(value))))
const anything = same(fc.constantFrom<Generated>(true, {}))

const text = together(
  typed('string', 'string', ['string', 'null']),
  rarely(3, limit(['minLength'], fc.nat(2))),
  rarely(3, limit(['maxLength'], fc.integer({ min: 1, max: 4 }))),
  rarely(4, keyword('pattern', same(fc.constantFrom('^a', 'b$', '^[ab]*$')))),
)

const number = together(
  typed('number', 'integer', ['integer', 'null'], ['number', 'string']),
  rarely(3, limit(['minimum', 'exclusiveMinimum'], fc.integer({ min: -2, max: 1 }))),
  rarely(3, limit(['maximum', 'exclusiveMaximum'], fc.nat(3))),
  rarely(6, limit(['multipleOf'], fc.constantFrom(1, 2, 4))),
)

const literals = fc.subarray<unknown>(['a', 'b', 'ab', 1, 2, null, true], { minLength: 1 })
const literal = forked(6, one(keyword('const', same(fc.constantFrom<unknown>('a', 1))), keyword('enum', same(literals))))

/** Schemas of so many levels. */
function level(depth: number): Arbitrary<Both<Generated>> {
  const leaves = [anything, typed('boolean', 'null'), text, number, literal] as Arbitrary<Both<Generated>>[]
  if (depth === 0) return one(...leaves)
  const below = schemas(depth - 1)
  const object = objectOf(below)
  const union = together(
    one(keyword('anyOf', list(below, below)), keyword('anyOf', list(below, below)), keyword('oneOf', list(below, below))),
    rarely(6, typed('object')),
  )
  const record = together(
    typed('object'),
    keyword('propertyNames', same(fc.constant({ type: 'string' }))),
    keyword('additionalProperties', below),
  )
  const both = keyword('allOf', list(object, object))
  const deep = [object, object, object, arrayOf(below), union, tagged(), record, both] as Arbitrary<Both<Generated>>[]
  return one(...leaves, ...deep)
}

const levels: Arbitrary<Both<Generated>>[] = []

/** Schemas with everything that schema libraries write: mostly the same in both, now and then another or one more in a union. */
function schemas(depth: number): Arbitrary<Both<Generated>> {
  if (levels[depth]) return levels[depth]
  const plain = level(depth)
  const other = depth === 0 ? plain : schemas(0)
  const wider = list(plain, other).map((drawn) => (side: keyof Pair) => {
    const [narrow] = drawn(side)
    return side === 'writer' ? narrow! : { anyOf: drawn(side) }
  })
  const weighed = [
    { arbitrary: forked(25, plain), weight: 24 },
    { arbitrary: wider, weight: 1 },
  ] as const
  levels[depth] = fc.oneof({ withCrossShrink: true }, ...weighed)
  return levels[depth]
}

function objectOf(below: Arbitrary<Both<Generated>>): Part {
  const required = same(fc.subarray(names, { maxLength: 3 }))
  const closed = same(fc.constant<Generated>(false))
  return together(
    typed('object'),
    keyword('properties', together(...names.map((name) => rarely(2, keyword(name, below))))),
    rarely(2, keyword('required', required)),
    rarely(2, keyword('additionalProperties', one(closed, closed, schemas(0)))),
    rarely(6, keyword('patternProperties', keyword('^[ab]', schemas(0)))),
    rarely(8, keyword('propertyNames', same(fc.constantFrom<Generated>({ maxLength: 1 }, { enum: ['a', 'b', 'c'] })))),
    rarely(8, limit(['minProperties', 'maxProperties'], fc.nat(2))),
  )
}

function arrayOf(below: Arbitrary<Both<Generated>>): Part {
  const none = same(fc.constant<Generated>(false))
  return together(
    typed('array'),
    rarely(3, keyword('prefixItems', list(below, schemas(0)))),
    rarely(2, keyword('items', one(below, below, below, none))),
    rarely(4, limit(['minItems'], fc.nat(2))),
    rarely(4, limit(['maxItems'], fc.integer({ min: 1, max: 3 }))),
    rarely(8, keyword('uniqueItems', same(fc.constant(true)))),
  )
}

/** A union told apart by a property, as a discriminated union. */
function tagged(): Part {
  const branch = (k: string): Part =>
    together(
      objectOf(schemas(0)),
      keyword('properties', together(keyword('k', same(fc.constant({ const: k }))), keyword('n', schemas(0)))),
      keyword('required', same(fc.constant(['k']))),
    )
  const of = (...tags: string[]) => list(...tags.map(branch))
  return keyword('oneOf', forked(6, one(of('x'), of('x', 'y'), of('x', 'y', 'z'))))
}

/** Two schemas that differ in few places, as those of two versions do, so that many stay compatible. */
export const pairs: Arbitrary<Pair> = schemas(3).map((both) => ({ writer: both('writer'), reader: both('reader') }))
