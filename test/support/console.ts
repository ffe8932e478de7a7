import { onTestFinished } from 'vitest'

/** What a test's code writes to the console, until the test is over. */
export interface HeardConsole {
  lines: { level: 'warn' | 'error'; text: string }[]
  /** Resolves with the first line, past or future, that has the text. */
  until(part: string): Promise<string>
}

/** Listens to `console.warn` and `console.error`; nothing of it reaches the report of the tests. */
export function hearConsole(): HeardConsole {
  const lines: HeardConsole['lines'] = []
  const lookers = new Set<() => void>()
  for (const level of ['warn', 'error'] as const) {
    const before = console[level]
    console[level] = (...words: unknown[]) => {
      lines.push({ level, text: words.map(String).join(' ') })
      for (const look of lookers) look()
    }
    onTestFinished(() => {
      console[level] = before
    })
  }
  return {
    lines,
    until: (part) =>
      new Promise((resolve) => {
        const look = () => {
          const found = lines.find(({ text }) => text.includes(part))
          if (!found) return
          lookers.delete(look)
          resolve(found.text)
        }
        lookers.add(look)
        look()
      }),
  }
}
