/** Repeatable random numbers from 0 to 1 (Dead-letter and Miller's minimal standard generator). `seed` is a whole number. */
export function randomFrom(seed: number): () => number {
  // 0 and multiples of the modulus would stay 0 forever.
  let state = Math.abs(Math.trunc(seed)) % 2_147_483_647 || 1
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}
