import type { Comparison, Misfit } from './fits.ts'
import { type SchemaObject, Undecided, wholeNumbers } from './json-schema.ts'

/** Keywords that ask nothing of a value of another type. */
export const keywordsByType = {
  string: new Set(['minLength', 'maxLength', 'pattern', 'format']),
  number: new Set(['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf']),
  array: new Set(['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems']),
  object: new Set([
    'properties',
    'required',
    'additionalProperties',
    'patternProperties',
    'propertyNames',
    'minProperties',
    'maxProperties',
  ]),
}

/** Whether the keyword is of another type; throws if nobody knows it. */
export function isOthers(keyword: string): boolean {
  if (Object.values(keywordsByType).some((known) => known.has(keyword))) return true
  throw new Undecided(`the keyword ${keyword} is not understood`)
}

/** Largest of the numbers that the parts give for the keyword. */
export function largest(parts: readonly SchemaObject[], keyword: string, otherwise: number): number {
  return Math.max(otherwise, ...parts.flatMap((part) => (typeof part[keyword] === 'number' ? [part[keyword]] : [])))
}

/** Smallest of them. */
export function smallest(parts: readonly SchemaObject[], keyword: string): number {
  return Math.min(...parts.flatMap((part) => (typeof part[keyword] === 'number' ? [part[keyword]] : [])))
}

/** A reason if what the reader asks for is stricter than what the writer keeps to. */
export function limit(strict: boolean, keyword: string, before: number, now: unknown, { path }: Comparison): Misfit[] {
  if (!strict) return []
  return [{ path, reason: `${keyword} ${Number.isFinite(before) ? `${before} became` : 'is now'} ${String(now)}` }]
}

/** Formats whose pattern belongs to the library that wrote the schema: it changes with its releases, the format does not. */
const namedFormats = new Set([
  'email',
  'uuid',
  'date-time',
  'date',
  'time',
  'duration',
  'ipv4',
  'ipv6',
  'cidrv4',
  'cidrv6',
  'base64',
  'base64url',
])

/** What a reader's keyword asks of the writer's strings. */
export function stringFits(parts: readonly SchemaObject[], reader: SchemaObject, keyword: string, at: Comparison): Misfit[] {
  const given = reader[keyword]
  switch (keyword) {
    case 'minLength': {
      const before = largest(parts, keyword, 0)
      return limit(before < Number(given), keyword, before, given, at)
    }
    case 'maxLength': {
      const before = smallest(parts, keyword)
      return limit(before > Number(given), keyword, before, given, at)
    }
    case 'pattern': {
      const { format } = reader
      const known = typeof format === 'string' && namedFormats.has(format)
      const kept = parts.some((part) => part.pattern === given || (known && part.format === format && part.pattern !== undefined))
      return kept ? [] : [{ path: at.path, reason: 'a pattern is new or another one' }]
    }
    case 'format':
      return parts.some((part) => part.format === given)
        ? []
        : [{ path: at.path, reason: `the format ${String(given)} is now asked for` }]
    default:
      return isOthers(keyword) ? [] : []
  }
}

/** What a reader's keyword asks of the writer's numbers. */
export function numberFits(parts: readonly SchemaObject[], reader: SchemaObject, keyword: string, at: Comparison): Misfit[] {
  const given = reader[keyword] as number
  const { least, most, whole } = rangeOf(parts)
  switch (keyword) {
    case 'type':
      return whole || !wholeNumbers(reader) ? [] : [{ path: at.path, reason: 'number became integer' }]
    case 'minimum':
      return limit(least.value < given, keyword, least.value, given, at)
    case 'exclusiveMinimum':
      return limit(least.value < given || (least.value === given && !least.open), keyword, least.value, given, at)
    case 'maximum':
      return limit(most.value > given, keyword, most.value, given, at)
    case 'exclusiveMaximum':
      return limit(most.value > given || (most.value === given && !most.open), keyword, most.value, given, at)
    case 'multipleOf': {
      const kept = (whole && given === 1) || parts.some((part) => isMultiple(part.multipleOf, given))
      return kept ? [] : [{ path: at.path, reason: `it must now be a multiple of ${given}` }]
    }
    default:
      return isOthers(keyword) ? [] : []
  }
}

interface Range {
  least: { value: number; open: boolean }
  most: { value: number; open: boolean }
  /** Whole numbers only. */
  whole: boolean
}

/** The range that the parts leave. */
function rangeOf(parts: readonly SchemaObject[]): Range {
  const whole = parts.some((part) => wholeNumbers(part) || isMultiple(part.multipleOf, 1))
  const closedLeast = largest(parts, 'minimum', Number.NEGATIVE_INFINITY)
  const openLeast = largest(parts, 'exclusiveMinimum', Number.NEGATIVE_INFINITY)
  const closedMost = smallest(parts, 'maximum')
  const openMost = smallest(parts, 'exclusiveMaximum')
  if (whole) {
    return {
      least: { value: Math.max(Math.ceil(closedLeast), Math.floor(openLeast) + 1), open: false },
      most: { value: Math.min(Math.floor(closedMost), Math.ceil(openMost) - 1), open: false },
      whole,
    }
  }
  return {
    least: { value: Math.max(closedLeast, openLeast), open: openLeast >= closedLeast && Number.isFinite(openLeast) },
    most: { value: Math.min(closedMost, openMost), open: openMost <= closedMost && Number.isFinite(openMost) },
    whole,
  }
}

/** Exact for whole numbers; of others only the same is a multiple. */
function isMultiple(value: unknown, of: number): boolean {
  if (typeof value !== 'number') return false
  return value === of || (Number.isInteger(value) && Number.isInteger(of) && value % of === 0)
}
