import { accepts } from './accepts.ts'
import { type Atom, atomsOf, literalsOf } from './atoms.ts'
import { arrayFits } from './fits-array.ts'
import { objectFits } from './fits-object.ts'
import { numberFits, stringFits } from './fits-scalar.ts'
import {
  type JsonSchema,
  keywordsOf,
  resolve,
  type SchemaObject,
  type Side,
  same,
  schemaList,
  takesAll,
  typesOf,
  Undecided,
} from './json-schema.ts'

/** A reason why a value that the writer may write is not known to be taken by the reader. */
export interface Misfit {
  /** Path in the payload: `payload.items[].price`; `*` stands for any name. */
  path: string
  /** Why, as half a sentence: `number became string`. */
  reason: string
}

/** One comparison of a writer with a reader. */
export interface Comparison {
  readonly writer: Side
  readonly reader: Side
  /** Pairs that are being compared further up, on the way to a part of the value: a recursive schema meets itself. */
  readonly above: ReadonlySet<string>
  /** Pairs that are being compared at this very place. Meeting one again proves nothing. */
  readonly here: ReadonlySet<string>
  readonly path: string
  /** Comparisons made so far, of all branches. */
  readonly spent: { count: number }
}

/** Enough for every schema of an event; alternatives of alternatives multiply. */
const mostComparisons = 20_000

/**
 * Whether every value that the writer's schema allows is taken by the reader's: an empty list, or the reasons against it. It is never empty
 * where some value fits the one and not the other; where it cannot tell, it says so.
 *
 * @param root name of the whole value in the paths.
 */
export function fits(writer: JsonSchema, reader: JsonSchema, root = 'payload'): Misfit[] {
  const nothing = new Set<string>()
  return compare(writer, reader, {
    writer: { root: writer },
    reader: { root: reader },
    above: nothing,
    here: nothing,
    path: root,
    spent: { count: 0 },
  })
}

/** {@link fits} at one place of the value. */
export function compare(writer: JsonSchema, reader: JsonSchema, at: Comparison): Misfit[] {
  try {
    if (at.spent.count++ > mostComparisons) throw new Undecided('it has too many alternatives')
    return compareHere(writer, reader, at)
  } catch (error) {
    if (error instanceof Undecided) return [{ path: at.path, reason: `cannot tell: ${error.message}` }]
    throw error
  }
}

/** The same for a part of the value. */
export function comparePart(writer: JsonSchema, reader: JsonSchema, at: Comparison, step: string): Misfit[] {
  return compare(writer, reader, { ...at, above: new Set([...at.above, ...at.here]), here: new Set(), path: at.path + step })
}

function compareHere(writer: JsonSchema, reader: JsonSchema, at: Comparison): Misfit[] {
  if (writer === false || takesAll(reader)) return []
  const pair = JSON.stringify([writer, reader])
  if (!pair.includes('"$ref"') && same(writer, reader)) return []
  if (at.above.has(pair)) return []
  if (at.here.has(pair)) throw new Undecided('it refers to itself without end')
  const inside = { ...at, here: new Set([...at.here, pair]) }
  const misfits = unique(atomsOf(writer, at.writer).flatMap((atom) => atomFits(atom, reader, inside)))
  // One reason instead of one for each type: an open object may hold anything under a name that it does not mention.
  return misfits.length > 0 && takesAll(writer) ? [{ path: at.path, reason: 'any value was allowed here' }] : misfits
}

/** Reasons why one kind of value is not taken. */
function atomFits(atom: Atom, reader: JsonSchema, at: Comparison): Misfit[] {
  if (takesAll(reader)) return []
  if (reader === false) return [{ path: at.path, reason: 'no longer accepted' }]
  if ('literal' in atom) return literalFits(atom.literal, reader as SchemaObject, at)
  const schema = reader as SchemaObject
  const pair = JSON.stringify([atom, schema])
  if (schema.$ref !== undefined && at.here.has(pair)) throw new Undecided('it refers to itself without end')
  const inside = { ...at, here: new Set([...at.here, pair]) }
  return keywordsOf(schema).flatMap((keyword) => keywordFits(atom, schema, keyword, inside))
}

function literalFits(value: unknown, reader: SchemaObject, at: Comparison): Misfit[] {
  if (accepts(reader, value, at.reader)) return []
  const text = JSON.stringify(value)
  return [{ path: at.path, reason: text.length > 60 ? 'a value is no longer allowed' : `value ${text} is no longer allowed` }]
}

type TypeAtom = Extract<Atom, { type: unknown }>

const typeRules = {
  string: stringFits,
  number: numberFits,
  array: arrayFits,
  object: objectFits,
  null: unknown,
  boolean: unknown,
}

function keywordFits(atom: TypeAtom, schema: SchemaObject, keyword: string, at: Comparison): Misfit[] {
  switch (keyword) {
    case '$ref':
      return atomFits(atom, resolve(schema.$ref, at.reader), at)
    case 'allOf':
      return schemaList(schema.allOf).flatMap((branch) => atomFits(atom, branch, at))
    case 'anyOf':
      return anyFits(atom, schemaList(schema.anyOf), at)
    case 'oneOf':
      return oneFits(atom, schemaList(schema.oneOf), at)
    case 'enum':
    case 'const':
      return [{ path: at.path, reason: `any ${atom.type} became ${literalsOf(schema).flat().length} fixed values` }]
    case 'type':
      if (!typesOf(schema).has(atom.type)) return [{ path: at.path, reason: `${atom.type} became ${nameOf(schema.type)}` }]
      return atom.type === 'number' ? numberFits(atom.parts, schema, 'type', at) : []
    default:
      return typeRules[atom.type](atom.parts, schema, keyword, at)
  }
}

function unknown(): never {
  throw new Undecided('an alternative has no values')
}

const nameOf = (type: unknown) => (Array.isArray(type) ? type.join(' or ') : String(type))

/** One of the alternatives must take the whole kind. If none does, the reasons of the one of its type say most. */
function anyFits(atom: TypeAtom, branches: JsonSchema[], at: Comparison): Misfit[] {
  const answers = branches.map((branch) => attempt(() => atomFits(atom, branch, at), at))
  if (answers.some((misfits) => misfits.length === 0)) return []
  const ofType = answers.filter(
    (misfits) => !misfits.some(({ path, reason }) => path === at.path && reason.startsWith(`${atom.type} became`)),
  )
  if (ofType.length === 1) return ofType[0]!
  const [tag] = tagsOf(atom).filter(([, values]) => values.length === 1)
  const which = tag ? `the ${atom.type} with ${tag[0]} ${JSON.stringify(tag[1][0])}` : `this ${atom.type}`
  return [{ path: at.path, reason: `${which} is taken by none of the ${branches.length} alternatives` }]
}

function attempt(act: () => Misfit[], at: Comparison): Misfit[] {
  try {
    return act()
  } catch (error) {
    if (error instanceof Undecided) return [{ path: at.path, reason: `cannot tell: ${error.message}` }]
    throw error
  }
}

/** As {@link anyFits}, and no second alternative may take it too: alternatives must have nothing in common. */
function oneFits(atom: TypeAtom, branches: JsonSchema[], at: Comparison): Misfit[] {
  const misfits = anyFits(atom, branches, at)
  if (misfits.length > 0) return misfits
  const kinds = branches.map((branch) => atomsOf(branch, at.reader))
  const apart = kinds.every((one, i) =>
    kinds.slice(i + 1).every((other) => one.every((a) => other.every((b) => disjoint(a, b, at.reader)))),
  )
  return apart ? [] : [{ path: at.path, reason: 'cannot tell: its alternatives may overlap' }]
}

/** Whether two kinds surely have no value in common: by type, by literal, or by a property that both need and that tells them apart. */
function disjoint(a: Atom, b: Atom, side: Side): boolean {
  if ('literal' in a) return 'literal' in b ? !same(a.literal, b.literal) : disjoint(b, a, side)
  if ('literal' in b) return a.parts.some((part) => !accepts(part, b.literal, side))
  if (a.type !== b.type) return true
  return (
    a.type === 'object' &&
    tagsOf(a).some(([name, values]) =>
      tagsOf(b).some(([other, more]) => name === other && !values.some((one) => more.some((two) => same(one, two)))),
    )
  )
}

/** The properties that the kind needs and whose values it names. */
function tagsOf({ parts }: TypeAtom): [name: string, values: unknown[]][] {
  const required = new Set(parts.flatMap((part) => (Array.isArray(part.required) ? (part.required as string[]) : [])))
  return parts.flatMap((part) =>
    Object.entries((part.properties as SchemaObject | undefined) ?? {}).flatMap(([name, schema]): [string, unknown[]][] => {
      const [values] = typeof schema === 'object' && schema !== null ? literalsOf(schema as SchemaObject) : []
      return values && required.has(name) ? [[name, values]] : []
    }),
  )
}

function unique(misfits: Misfit[]): Misfit[] {
  return misfits.filter((one, i) => misfits.findIndex((other) => same(one, other)) === i)
}
