import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { check_compat, initSync } from 'jsoncompat'
import { expect, test } from 'vitest'
import { fits } from '../../src/schema-compat/fits.ts'
import { type Generated, type Pair, pairs } from './pairs.ts'
import { valuesNear } from './values.ts'

/** 10,000 for a thorough run: `FUZZ_PAIRS=10000 npx vitest run test/schema-compat/fuzz.test.ts`. */
const numRuns = Number(process.env.FUZZ_PAIRS ?? 500)
const seed = Number(process.env.FUZZ_SEED ?? 1)
const valuesOfPair = 60
/** jsoncompat takes some 40 ms for a pair, a hundred times as long as the rest. */
const crossCheckEvery = 25

initSync({ module: readFileSync(createRequire(import.meta.url).resolve('jsoncompat/jsoncompat_wasm_bg.wasm')) })

type Checker = (pair: Pair) => boolean
const ours: Checker = ({ writer, reader }) => fits(writer as never, reader as never).length === 0
const text = (schema: Generated) => JSON.stringify(schema)
// Its "serializer" asks whether the first fits the second when the arguments are swapped.
const jsoncompat: Checker = ({ writer, reader }) => check_compat(text(reader), text(writer), 'serializer')

const validator = (schema: Generated) => new Ajv2020({ strict: false, validateSchema: false }).compile(schema)

/** The smallest value found that is written and cannot be read; undefined where none is. */
function breaking({ writer, reader }: Pair, valueSeed: number, tell?: (written: number) => void): [unknown] | undefined {
  const [writes, reads] = [validator(writer), validator(reader)]
  let written = 0
  const read = fc.property(fc.oneof(valuesNear(writer), valuesNear(reader)), (value) => {
    if (!writes(value)) return true
    written++
    return reads(value)
  })
  const { counterexample } = fc.check(read, { numRuns: valuesOfPair, seed: valueSeed })
  tell?.(written)
  return counterexample ?? undefined
}

/** Throws for a pair that the checker calls compatible, and a value breaks. A smaller pair is tried with values of its own. */
const soundOn = (checker: Checker, tell?: (pair: Pair, compatible: boolean, broken: boolean, written: number) => void) =>
  fc.property(pairs, fc.noShrink(fc.nat()), (pair, valueSeed) => {
    const compatible = checker(pair)
    let written = 0
    const broken = breaking(pair, valueSeed, (values) => {
      written = values
    })
    tell?.(pair, compatible, broken !== undefined, written)
    if (compatible && broken) throw new Error(`${JSON.stringify(broken[0])} is written and cannot be read.`)
  })

test('no generated value breaks a pair that is called compatible', { timeout: 900_000 }, () => {
  const told = {
    compatible: 0,
    valuesWritten: 0,
    broken: 0,
    bothSayYes: 0,
    bothSayNo: 0,
    onlyWeSayYes: 0,
    onlyJsoncompatSaysYes: 0,
  }
  let count = 0
  const sound = soundOn(ours, (pair, compatible, broken, written) => {
    told.valuesWritten += written
    if (broken) told.broken++
    if (compatible) told.compatible++
    if (++count % crossCheckEvery > 0) return
    const other = jsoncompat(pair)
    if (compatible === other) told[compatible ? 'bothSayYes' : 'bothSayNo']++
    else told[compatible ? 'onlyWeSayYes' : 'onlyJsoncompatSaysYes']++
  })
  // What it throws names the smallest pair and value found, and the seed and path that lead there again.
  fc.assert(sound, { numRuns, seed })
  console.log({ pairs: count, ...told })
  // The run tells something: many pairs were called compatible, and many were broken by a value.
  expect(told.compatible).toBeGreaterThan(numRuns / 10)
  expect(told.broken).toBeGreaterThan(numRuns / 10)
})

/** The schema without the keyword, at every depth. */
function without(keyword: string, schema: unknown): unknown {
  if (typeof schema !== 'object' || schema === null) return schema
  if (Array.isArray(schema)) return schema.map((one) => without(keyword, one))
  const kept = Object.entries(schema).filter(([name]) => name !== keyword)
  return Object.fromEntries(kept.map(([name, value]) => [name, without(keyword, value)]))
}

const soonFound = ['type', 'properties', 'additionalProperties', 'patternProperties', 'const']
/** Few pairs find these out: some minutes. */
const lateFound = [
  ...['required', 'propertyNames', 'minProperties', 'enum', 'minLength', 'pattern', 'maximum', 'exclusiveMinimum'],
  ...['multipleOf', 'items', 'prefixItems', 'maxItems', 'uniqueItems', 'anyOf', 'oneOf'],
]

test.each(numRuns < 5_000 ? soonFound : [...soonFound, ...lateFound])(
  'a checker that overlooks %s in the reader is caught, with a small pair',
  { timeout: 120_000 },
  (keyword) => {
    const blind: Checker = ({ writer, reader }) => ours({ writer, reader: without(keyword, reader) as Generated })
    const { failed, counterexample } = fc.check(soundOn(blind), { numRuns: 5_000, seed })
    expect(failed).toBe(true)
    const [pair] = counterexample!
    expect(text(pair.writer).length + text(pair.reader).length).toBeLessThan(600)
  },
)
