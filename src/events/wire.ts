import type { InputOf, OutputOf, StandardSchema } from './standard-schema.ts'

declare const unwritable: unique symbol

/** Stands for what JSON cannot hold; no schema takes it. */
interface Unwritable {
  [unwritable]: never
}

/** What JSON makes of a value: a Date comes back as a string, a BigInt or a Map not at all. */
export type Wire<T> = unknown extends T
  ? T
  : T extends { toJSON(...key: never[]): infer J }
    ? Wire<J>
    : T extends string | number | boolean | null | undefined
      ? T
      : T extends
            | bigint
            | symbol
            | ((...args: never[]) => unknown)
            | ReadonlyMap<unknown, unknown>
            | ReadonlySet<unknown>
            | ArrayBufferView
        ? Unwritable
        : { [K in keyof T]: Wire<T[K]> }

/** The schemas that refuse the JSON of their own output. */
export type Unstable<Schemas extends readonly StandardSchema[]> = {
  [I in keyof Schemas]: Wire<OutputOf<Schemas[I]>> extends InputOf<Schemas[I]> ? never : I
}[number]

/**
 * `unknown` if consumers can read what the producer writes; else a type that no event has, whose name is the explanation. Without it a
 * schema with a Date would pass in the tests of the producer, and fail in every consumer.
 */
export type WireStable<Schemas extends readonly StandardSchema[]> = [Unstable<Schemas>] extends [never]
  ? unknown
  : { 'A schema must accept the JSON of its own output: use z.codec(…), z.iso.datetime() or a string.': never }
