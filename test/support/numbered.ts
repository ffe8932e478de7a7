import type { NewRow } from './rows.ts'

/** Number that stands in a record of {@link numbered} rows, and of those that `insertMany` writes. */
export const numberOf = (record: { value: Uint8Array | null }): number => JSON.parse(Buffer.from(record.value!).toString()).n

/** Rows of one key with these numbers. */
export const numbered = (topic: string, key: string | null, ...numbers: number[]): NewRow[] =>
  numbers.map((n) => ({ topic, key, value: `{"n":${n}}` }))
