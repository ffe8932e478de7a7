import type { Listener } from './emitter.ts'
import { Throttle } from './throttle.ts'
import { inOneLine } from './visible.ts'

/** How loud an event is. */
export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error'

/** How the events of a relay, an inbox or a projection are written. */
export interface EventLines<Events> {
  /** How loud an event is. */
  levelOf: (event: keyof Events, fields: object) => Level
  /** Events that may come with every row, topic or connection: lines a minute, with the number of those left out. */
  linesPerMinute: Readonly<Partial<Record<keyof Events, number>>>
  /** Events of one kind share these lines. @default the event */
  kindOf?: (event: keyof Events, fields: object) => string
  /** Fields that are shown. @default all */
  fieldsOf?: (event: keyof Events, fields: object) => object
}

/**
 * Writes events of level `warn` and `error` to the console: for events that have no handler, while no log is attached. A newcomer must not
 * wait for messages while the reason is told to nobody.
 */
export function consoleLines<Events>({ levelOf, linesPerMinute, kindOf, fieldsOf }: EventLines<Events>): Listener<Events> {
  const throttle = new Throttle(Date.now)
  return (event, fields) => {
    const level = levelOf(event, fields as object)
    if (level !== 'warn' && level !== 'error') return
    const kind = kindOf?.(event, fields as object) ?? String(event)
    const left = throttle.leftOut(kind, linesPerMinute[event] ?? Number.POSITIVE_INFINITY)
    if (left === undefined) return
    const shown = { ...(fieldsOf?.(event, fields as object) ?? fields), ...(left > 0 ? { leftOut: left } : {}) }
    const words = Object.entries(shown).map(([name, value]) => `${name}=${textOf(value)}`)
    console[level](inOneLine(`prisma-extension-outbox: ${String(event).replaceAll('_', ' ')}  ${words.join(' ')}`))
  }
}

/** Quoted where it would not be one word. */
const textOf = (value: unknown): string => {
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value)
  return typeof value === 'string' && /[\s"=]/.test(text) ? JSON.stringify(text) : text
}
