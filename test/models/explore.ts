/** Something that can happen in a state. */
export interface Move<S> {
  readonly label: string
  /** The state afterwards; the one before stays as it is. */
  readonly make: () => S
}

/** A protocol as states and what leads from one to the next. States are plain JSON. */
export interface Model<S> {
  readonly initial: S
  readonly moves: (state: S) => Move<S>[]
  /** The promise that is broken in this state. */
  readonly violation: (state: S) => string | undefined
}

/** What a search came to. */
export interface Explored {
  /** Different states, or the steps of all walks. */
  readonly states: number
  /** Whether there is no other state. */
  readonly isWhole: boolean
  /** The broken promise that was found first, with the steps that lead there. */
  readonly violation?: { readonly what: string; readonly steps: readonly string[] }
}

/** Visits every state, those with the fewest steps first; stops at a violation, or at `most` states. */
export function explore<S>({ initial, moves, violation }: Model<S>, most: number): Explored {
  const seen = new Set<string>()
  const reached: { from: number; label: string }[] = []
  let next: { state: S; at: number }[] = []
  const add = (state: S, from: number, label: string) => {
    const text = JSON.stringify(state)
    if (seen.has(text)) return
    seen.add(text)
    next.push({ state, at: reached.push({ from, label }) - 1 })
  }
  add(initial, -1, '')
  while (next.length > 0) {
    const now = next
    next = []
    for (const { state, at } of now) {
      const what = violation(state)
      if (what) return { states: seen.size, isWhole: false, violation: { what, steps: stepsTo(at, reached) } }
      if (seen.size >= most) return { states: seen.size, isWhole: false }
      for (const { label, make } of moves(state)) add(make(), at, label)
    }
  }
  return { states: seen.size, isWhole: true }
}

function stepsTo(at: number, reached: readonly { from: number; label: string }[]): string[] {
  const steps: string[] = []
  for (let i = at; i > 0; i = reached[i]!.from) steps.unshift(reached[i]!.label)
  return steps
}

/** Walks at random, each time from the beginning, for `most` steps in all: for what is too large to be explored. */
export function walk<S>({ initial, moves, violation }: Model<S>, most: number, random: () => number): Explored {
  const longest = 150
  let steps: string[] = []
  let state = initial
  for (let made = 0; made < most; made++) {
    const choices = moves(state)
    if (choices.length === 0 || steps.length === longest) {
      state = initial
      steps = []
      continue
    }
    const { label, make } = choices[Math.floor(random() * choices.length)]!
    state = make()
    steps.push(label)
    const what = violation(state)
    if (what) return { states: made + 1, isWhole: false, violation: { what, steps } }
  }
  return { states: most, isWhole: false }
}
