import { inboxLines, projectionLines } from '../../../src/inbox/event-lines.ts'
import { relayLines } from '../../../src/relay/event-lines.ts'
import type { Level } from '../../../src/running/console-lines.ts'
import { declared } from '../doc-comments.ts'
import { code } from '../markdown.ts'

interface Source {
  interfaces: readonly [file: string, name: string][]
  levelOf: (event: never, fields: object) => Level | undefined
  linesPerMinute: Readonly<Record<string, number>>
}

const sources: Record<string, Source> = {
  relay: { interfaces: [['relay/telemetry.ts', 'RelayEvents']], ...relayLines },
  inbox: { interfaces: [['inbox/telemetry.ts', 'InboxEvents']], ...inboxLines },
  projection: {
    interfaces: [
      ['inbox/telemetry.ts', 'ProjectionEvents'],
      ['inbox/telemetry.ts', 'InboxEvents'],
    ],
    ...projectionLines,
  },
}

/** A section for each event of a relay, an inbox or a projection: level, limit of lines, fields, meaning. */
export function eventSections(of: string): string {
  const { interfaces, levelOf, linesPerMinute } = sources[of]!
  const events = interfaces.flatMap(([file, name]) => declared(file, name))
  return events
    .flatMap(({ name, text, type }) => {
      const level = levelOf(name as never, {})
      if (level === undefined) return []
      if (!text) throw new Error(`The event ${name} has no comment.`)
      const limit = linesPerMinute[name]
      const lines = limit === undefined ? '' : ` At most ${limit === 1 ? 'one line' : `${limit} lines`} a minute.`
      return [`### ${code(name)}\n\nLevel ${code(level)}.${lines} Fields: ${fieldsOf(type)}.\n\n${text}`]
    })
    .join('\n\n')
}

/** The fields of a type that is written out; another type as it is. */
const fieldsOf = (type: string): string =>
  type.startsWith('{')
    ? type
        .slice(1, -1)
        .split(/[;]|(?<=\w) (?=\w+: )/)
        .map((field) => field.trim())
        .filter((field) => field !== '')
        .map(code)
        .join(', ')
    : code(type)
