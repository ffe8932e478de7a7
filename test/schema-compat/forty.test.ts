import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { StandardSchema } from '../../src/index.ts'
import { fits } from '../../src/schema-compat/fits.ts'
import type { JsonSchema } from '../../src/schema-compat/json-schema.ts'

const written = (schema: StandardSchema) => schema['~standard'].jsonSchema!.output({ target: 'draft-2020-12' }) as JsonSchema
const read = (schema: StandardSchema) => schema['~standard'].jsonSchema!.input({ target: 'draft-2020-12' }) as JsonSchema

const a = { a: z.string() }
const alternative = (k: string) => z.object({ k: z.literal(k), n: z.number() })
const [A, B, C] = [alternative('A'), alternative('B'), alternative('C')]
type Tree = { v: string; kids: Tree[] }
const tree = (more: z.ZodRawShape = {}): z.ZodType => {
  const node: z.ZodType = z.object({ v: z.string(), ...more, kids: z.array(z.lazy(() => node)) }) as never
  return node as z.ZodType<Tree>
}
const point = z.object({ x: z.number() })
const named = z.object({ x: z.number() }).meta({ id: 'Point' })

/** Change, old and new schema; does the new reader take what the old writer wrote, and the old reader what the new one writes? */
const changes: [name: string, before: z.ZodType, after: z.ZodType, backward: boolean, forward: boolean][] = [
  // A writer of zod's objects leaves unknown fields out, and a reader lets them pass: optional fields come and go.
  ['optional field added', z.object(a), z.object({ ...a, b: z.string().optional() }), true, true],
  ['optional field added, closed', z.strictObject(a), z.strictObject({ ...a, b: z.string().optional() }), true, false],
  ['optional field added, open', z.looseObject(a), z.looseObject({ ...a, b: z.string().optional() }), false, true],
  ['required field added', z.object(a), z.object({ ...a, b: z.string() }), false, true],
  ['required field added, closed', z.strictObject(a), z.strictObject({ ...a, b: z.string() }), false, false],
  ['field with default added', z.object(a), z.object({ ...a, b: z.string().default('x') }), true, true],
  ['optional field removed', z.object({ ...a, b: z.string().optional() }), z.object(a), true, true],
  ['required field removed', z.object({ ...a, b: z.string() }), z.object(a), true, false],
  ['required field removed, closed', z.strictObject({ ...a, b: z.string() }), z.strictObject(a), false, false],
  ['optional became required', z.object({ a: z.string().optional() }), z.object(a), false, true],
  ['integer became number', z.object({ a: z.int() }), z.object({ a: z.number() }), true, false],
  ['number became string', z.object({ a: z.number() }), z.object(a), false, false],
  ['text became list', z.object(a), z.object({ a: z.array(z.string()) }), false, false],
  ['enum value added', z.object({ a: z.enum(['x', 'y']) }), z.object({ a: z.enum(['x', 'y', 'z']) }), true, false],
  ['enum value removed', z.object({ a: z.enum(['x', 'y', 'z']) }), z.object({ a: z.enum(['x', 'y']) }), false, true],
  ['maximum raised', z.object({ a: z.number().max(10) }), z.object({ a: z.number().max(20) }), true, false],
  ['minimum added', z.object({ a: z.number() }), z.object({ a: z.number().min(0) }), false, true],
  ['maxLength lowered', z.object({ a: z.string().max(10) }), z.object({ a: z.string().max(5) }), false, true],
  ['format added', z.object(a), z.object({ a: z.email() }), false, true],
  ['pattern added', z.object(a), z.object({ a: z.string().regex(/^x/) }), false, true],
  ['made nullable', z.object(a), z.object({ a: z.string().nullable() }), true, false],
  ['no longer nullable', z.object({ a: z.string().nullable() }), z.object(a), false, true],
  ['closed object opened', z.strictObject(a), z.looseObject(a), true, false],
  ['open object closed', z.looseObject(a), z.strictObject(a), false, true],
  ['alternative added', z.discriminatedUnion('k', [A, B]), z.discriminatedUnion('k', [A, B, C]), true, false],
  ['alternative removed', z.discriminatedUnion('k', [A, B, C]), z.discriminatedUnion('k', [A, B]), false, true],
  ['plain alternative added', z.union([z.string(), z.number()]), z.union([z.string(), z.number(), z.boolean()]), true, false],
  ['plain alternative removed', z.union([z.string(), z.number(), z.boolean()]), z.union([z.string(), z.number()]), false, true],
  ['required field renamed', z.object({ a: z.string() }), z.object({ b: z.string() }), false, false],
  ['optional field renamed', z.object({ a: z.string().optional() }), z.object({ b: z.string().optional() }), true, true],
  ['default changed', z.object({ a: z.string().default('x') }), z.object({ a: z.string().default('y') }), true, true],
  ['items widened', z.array(z.int()), z.array(z.number()), true, false],
  ['items changed', z.array(z.number()), z.array(z.string()), false, false],
  ['inlined became named', z.object({ p: point }), z.object({ p: named }), true, true],
  ['named and changed', z.object({ p: named }), z.object({ p: z.object({ x: z.string() }) }), false, false],
  ['described', z.object(a), z.object({ a: z.string().describe('text') }), true, true],
  ['constant became enum', z.object({ a: z.literal('x') }), z.object({ a: z.enum(['x', 'y']) }), true, false],
  ['enum became text', z.object({ a: z.enum(['x', 'y']) }), z.object(a), true, false],
  ['values of a record narrowed', z.record(z.string(), z.number()), z.record(z.string(), z.int()), false, true],
  ['optional field in a recursive type', tree(), tree({ more: z.string().optional() }), true, true],
]

describe('forty changes', () => {
  test.each(changes)('%s', (_name, before, after, backward, forward) => {
    expect([fits(written(before), read(after)).length === 0, fits(written(after), read(before)).length === 0]).toEqual([
      backward,
      forward,
    ])
  })

  test('are forty, and the table of the answers is printed', () => {
    const word = (misfits: ReturnType<typeof fits>) =>
      misfits.length === 0 ? 'ok' : `${misfits[0]!.path}: ${misfits[0]!.reason}`
    const rows = changes.map(([name, before, after]) => {
      const [backward, forward] = [fits(written(before), read(after)), fits(written(after), read(before))]
      return `${name.padEnd(36)} ${word(backward).padEnd(52)} ${word(forward)}`
    })
    console.log([`${'change'.padEnd(36)} ${'new reads old'.padEnd(52)} old reads new`, ...rows].join('\n'))
    expect(new Set(rows).size).toBe(40)
  })

  test('what cannot be told is never called compatible: a wider pattern', () => {
    const [narrow, wide] = [z.string().regex(/^a$/), z.string().regex(/^[ab]$/)]
    expect(fits(written(narrow), read(wide))).toEqual([{ path: 'payload', reason: 'a pattern is new or another one' }])
  })
})
