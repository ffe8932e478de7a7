import type { DeadKey, Operator } from '../store/operator.ts'
import { counted } from './format.ts'

/** Milliseconds between two polls for an outcome. */
const pollMs = 250

/** Keys of one poll. */
const polledKeys = 1_000

/** What became of keys that were put back. */
export interface Redriven {
  /** Keys whose messages are all published. */
  published: number
  /** Keys that are dead again, by the code of their first dead message. */
  deadAgain: Record<string, number>
  /** Keys whose messages still waited when the time was over. */
  waiting: number
}

/** Waits until each key is published or dead again; `timeoutMs` since the last that was. */
export async function outcomeOf(operator: Operator, keys: readonly DeadKey[], timeoutMs: number): Promise<Redriven> {
  const found: Redriven = { published: 0, deadAgain: {}, waiting: 0 }
  let until = performance.now() + timeoutMs
  for (let open = keys; ; ) {
    const left: DeadKey[] = []
    for (let at = 0; at < open.length; at += polledKeys) {
      const polled = open.slice(at, at + polledKeys)
      for (const [n, { reason, waiting }] of (await operator.outcomes(polled)).entries()) {
        if (reason !== null) found.deadAgain[reason] = (found.deadAgain[reason] ?? 0) + 1
        else if (waiting) left.push(polled[n]!)
        else found.published++
      }
    }
    if (left.length < open.length) until = performance.now() + timeoutMs
    if (left.length === 0 || performance.now() > until) return { ...found, waiting: left.length }
    open = left
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}

/** A sentence for each outcome that there is. */
export function outcomeText({ published, deadAgain, waiting }: Redriven): string {
  const codes = Object.entries(deadAgain)
  const dead = codes.reduce((sum, [, n]) => sum + n, 0)
  return [
    published > 0 ? `Published: ${counted(published, 'key')}.` : '',
    dead > 0 ? `Dead again: ${counted(dead, 'key')} (${codes.map(([code, n]) => `${n} ${code}`).join(', ')}).` : '',
    waiting > 0 ? `Put back, not yet published: ${counted(waiting, 'key')}.` : '',
  ]
    .filter(Boolean)
    .join(' ')
}
