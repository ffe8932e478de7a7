/** Bytes of every value. */
export const valueBytes = 300

/** A prime: consecutive messages have keys that are far from each other. */
export const stride = 7_919

/** Key of the message with number n. */
export const keyOf = (n: number, keys: number): string => `key-${(n * stride) % keys}`

/** Value of the message with number n: JSON of 300 bytes. */
export function payloadOf(n: number): string {
  const head = `{"n":${n},"p":"`
  return `${head}${'x'.repeat(valueBytes - 2 - head.length)}"}`
}
