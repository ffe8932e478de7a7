import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { check_compat, initSync } from 'jsoncompat'
import { expect, test } from 'vitest'
import { fits } from '../../src/evolution/fits.ts'
import { changed, Dice, type Generated, schemaOf, valueNear } from './pairs.ts'

/** 10,000 for a thorough run: `FUZZ_PAIRS=10000 npx vitest run test/evolution/fuzz.test.ts`. */
const pairs = Number(process.env.FUZZ_PAIRS ?? 500)
const firstSeed = Number(process.env.FUZZ_SEED ?? 1)
const valuesOfPair = 60
/** jsoncompat takes some 40 ms for a pair, a hundred times as long as the rest. */
const crossCheckEvery = 25

initSync({ module: readFileSync(createRequire(import.meta.url).resolve('jsoncompat/jsoncompat_wasm_bg.wasm')) })

const validator = (schema: Generated) => new Ajv2020({ strict: false, validateSchema: false }).compile(schema)
const text = (schema: Generated) => JSON.stringify(schema)

test('no generated value breaks a pair that is called compatible', { timeout: 900_000 }, () => {
  const told = {
    pairs,
    compatible: 0,
    valuesWritten: 0,
    broken: 0,
    bothSayYes: 0,
    bothSayNo: 0,
    onlyWeSayYes: 0,
    onlyJsoncompatSaysYes: 0,
  }
  for (let seed = firstSeed; seed < firstSeed + pairs; seed++) {
    const dice = new Dice(seed)
    const writer = schemaOf(dice)
    const reader = dice.chance(8) ? schemaOf(dice) : changed(writer, dice)
    const compatible = fits(writer as never, reader as never).length === 0
    const [writes, reads] = [validator(writer), validator(reader)]
    const values = Array.from({ length: valuesOfPair }, () => valueNear(dice.chance(2) ? writer : reader, dice))
    const written = values.filter((value) => writes(value))
    const broken = written.filter((value) => !reads(value))
    told.valuesWritten += written.length
    if (broken.length > 0) told.broken++
    if (compatible) {
      told.compatible++
      expect({ seed, writer, reader, broken }).toEqual({ seed, writer, reader, broken: [] })
    }
    if (seed % crossCheckEvery > 0) continue
    // Its "serializer" asks whether the first fits the second when the arguments are swapped.
    const other = check_compat(text(reader), text(writer), 'serializer')
    if (compatible === other) told[compatible ? 'bothSayYes' : 'bothSayNo']++
    else told[compatible ? 'onlyWeSayYes' : 'onlyJsoncompatSaysYes']++
  }
  console.log(told)
  // The run tells something: many pairs were called compatible, and many were broken by a value.
  expect(told.compatible).toBeGreaterThan(pairs / 10)
  expect(told.broken).toBeGreaterThan(pairs / 10)
})
