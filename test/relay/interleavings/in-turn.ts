import type { Moments } from './world.ts'

/** Moments come in the order in which they were asked for, and time passes once in each round: for stories that are told by hand. */
export function inTurn(): Moments {
  const waiting: (() => void)[] = []
  return {
    schedule: (task) => new Promise((resolve) => waiting.push(() => void task.then(resolve))),
    async waitOne() {
      waiting.shift()?.()
    },
  }
}
