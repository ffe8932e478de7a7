import { expect, test, vi } from 'vitest'
import { consoleLines } from '../../src/running/console-lines.ts'
import { Emitter, watching } from '../../src/running/emitter.ts'
import { hearConsole } from '../support/console.ts'

interface Events {
  failed: { topic: string; list: number[] }
  done: { topic: string }
}
const lines = { levelOf: (event: keyof Events) => (event === 'failed' ? 'warn' : 'info'), linesPerMinute: { failed: 2 } } as const
const failure = { topic: 'a b', list: [1, 2] }

test('events of level warn and error are one line, blanks quoted; others are not told', () => {
  const heard = hearConsole()
  const emitter = new Emitter<Events>(consoleLines<Events>(lines))
  emitter.emit('failed', { ...failure, topic: 'a\nb \u001b[2J' })
  emitter.emit('done', { topic: 't' })
  expect(heard.lines).toEqual([{ level: 'warn', text: 'prisma-extension-outbox: failed  topic="a\\nb \\u001b[2J" list=[1,2]' }])
})

test('beyond its lines a minute an event is counted, and the next line says how many were left out', () => {
  const heard = hearConsole()
  vi.useFakeTimers({ toFake: ['Date'] })
  try {
    const emitter = new Emitter<Events>(consoleLines<Events>(lines))
    for (let n = 0; n < 5; n++) emitter.emit('failed', failure)
    expect(heard.lines).toHaveLength(2)
    vi.advanceTimersByTime(60_000)
    emitter.emit('failed', failure)
    expect(heard.lines.at(-1)!.text).toContain('leftOut=3')
  } finally {
    vi.useRealTimers()
  }
})

test('a handler of the event or of all events keeps it from the console, one that watches does not', () => {
  const heard = hearConsole()
  const emitter = new Emitter<Events>(consoleLines<Events>(lines))
  const seen: unknown[] = []
  watching(emitter).on('*', (...event) => seen.push(event))
  watching(emitter).on('failed', (event) => seen.push(event))
  emitter.emit('failed', failure)
  expect([seen, heard.lines.length]).toEqual([[failure, ['failed', failure]], 1])
  const off = emitter.on('failed', () => {
    throw new Error('ignored')
  })
  emitter.emit('failed', failure)
  expect(heard.lines).toHaveLength(1)
  off()
  emitter.on('*', () => {})
  emitter.emit('failed', failure)
  expect(heard.lines).toHaveLength(1)
})
