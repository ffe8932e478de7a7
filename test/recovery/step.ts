import { within } from '../../src/running/within.ts'

/** Milliseconds that a step may take: far more than any needs, and less than the time of the test. */
const stepMs = 40_000

/**
 * Waits for one step of a longer test. Rejects with its name, and with what `state` returns then, if it takes longer than `limitMs`: a test
 * that runs out of its own time says neither.
 */
export async function step<T>(
  name: string,
  work: Promise<T>,
  { state = async () => '', limitMs = stepMs }: { state?: () => Promise<string>; limitMs?: number } = {},
): Promise<T> {
  const late = new Error(`Waited ${limitMs} ms for ${name}.`)
  try {
    return await within(work, limitMs, () => late)
  } catch (error) {
    if (error === late) late.message += ` ${await state()}`
    throw error
  }
}
