import { Writable } from 'node:stream'
import { expect, test } from 'vitest'
import { createLogger, type LogLevel, logEvents } from '../../src/ops/log.ts'

/** A log that is kept, with a clock of its own. */
function keep({ level = 'info' as LogLevel, terminal = false } = {}) {
  let text = ''
  const out = new Writable({
    write(chunk, _, done) {
      text += chunk
      done()
    },
  })
  const clock = { now: 0 }
  const tell = logEvents(createLogger(level, terminal, out), () => clock.now)
  return {
    tell,
    clock,
    text: () => text,
    lines: () =>
      text
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
  }
}

test('an event is one JSON line with level, time, name and fields', () => {
  const log = keep()
  log.tell('topic_paused', { topic: 'orders', code: 'UNKNOWN_TOPIC_OR_PARTITION', error: 'not there' })
  expect(log.lines()).toEqual([
    {
      level: 'error',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      event: 'topic_paused',
      topic: 'orders',
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
      error: 'not there',
      remedy: 'Create it. A relay never does, except with --create-topics.',
      command: 'kafka-topics.sh --bootstrap-server "$KAFKA_BROKERS" --create --topic orders --partitions 12',
      msg: 'topic paused',
    },
  ])
})

test.each([
  [true, /^Stop the relays without --exactly-once\./],
  [false, /publishes what they had recorded\.$/],
])('a relay that waits for those of the other mode says what helps (exactly once: %s)', (exactlyOnce, remedy) => {
  const log = keep()
  log.tell('standing_by', { exactlyOnce })
  expect(log.lines()).toMatchObject([{ level: 'warn', exactlyOnce, remedy: expect.stringMatching(remedy) }])
})

test('what comes with every batch is told at debug and trace only', () => {
  const told = (level: LogLevel) => {
    const log = keep({ level })
    log.tell('fetched', { rows: 1, ms: 1 })
    log.tell('published', { topic: 't', partition: 0, records: 1, bytes: 1, ms: 1, agesMs: [1], traces: [] })
    log.tell('settled', { rows: 1, ms: 1 })
    return log.lines().map((line) => line.event)
  }
  expect(told('info')).toEqual([])
  expect(told('debug')).toEqual(['published'])
  expect(told('trace')).toEqual(['fetched', 'published', 'settled'])
  expect(told('silent')).toEqual([])
})

test('of thousands of topics that pause, twenty lines a minute are told, and the next one says how many were left out', () => {
  const log = keep()
  const pause = (n: number) => log.tell('topic_paused', { topic: `t${n}`, code: 'C', error: 'e' })
  for (let n = 0; n < 5_000; n++) pause(n)
  expect(log.lines()).toHaveLength(20)
  log.clock.now = 60_000
  pause(5_000)
  expect(log.lines().at(-1)).toMatchObject({ topic: 't5000', leftOut: 4_980 })
})

test('an event that may come with every row is told once a minute, with the number of those left out', () => {
  const log = keep()
  const wrong = () => log.tell('wrong_bucket', { bucket: 1, id: 1, topic: 't' })
  wrong()
  wrong()
  wrong()
  expect(log.lines()).toHaveLength(1)
  log.clock.now = 60_000
  wrong()
  expect(log.lines()).toMatchObject([{ event: 'wrong_bucket' }, { event: 'wrong_bucket', leftOut: 2 }])
  expect(log.lines()[0].leftOut).toBeUndefined()
})

test('refused connections do not hide a wrong login: each reason is told once a minute', () => {
  const log = keep()
  for (const reason of ['too_many', 'too_many', 'wrong_login', 'too_slow', 'wrong_login'] as const) {
    log.tell('http_refused', { reason, address: '10.0.0.1' })
  }
  expect(log.lines()).toMatchObject([
    { level: 'warn', event: 'http_refused', reason: 'too_many', address: '10.0.0.1' },
    { reason: 'wrong_login' },
    { reason: 'too_slow' },
  ])
})

test('buckets are shown by their number, lost ones by name', () => {
  const log = keep()
  log.tell('leases_taken', { buckets: [1, 2, 3], owned: 3 })
  log.tell('leases_lost', { buckets: [1, 2], owned: 1 })
  expect(log.lines()).toMatchObject([{ buckets: 3 }, { level: 'warn', buckets: '1 2' }])
})

test('of the ages of a batch the highest is shown, of its traces none', () => {
  const log = keep({ level: 'debug' })
  log.tell('published', { topic: 't', partition: 0, records: 3, bytes: 1, ms: 1, agesMs: [5, 70, 6], traces: ['00-a-b-01'] })
  expect(log.lines()[0]).toMatchObject({ oldestMs: 70 })
  expect(log.lines()[0].agesMs).toBeUndefined()
  expect(log.lines()[0].traces).toBeUndefined()
})

test('at a terminal an event is one short readable line', () => {
  const log = keep({ terminal: true })
  log.tell('kafka_recovered', { ms: 1_500 })
  expect(log.text()).toMatch(/^\d\d:\d\d:\d\d info {2}kafka recovered {2}ms=1500\n$/)
})

/** ESC begins a command, U+009B is one in a single character, U+202E turns the line around, U+200B cannot be seen. */
const hostile = 'T\u001b]0;pwned\u0007\u009b2J\u202e\u200b\u2028\r\n00:00:00 info  all is well'

test.each([true, false])('a name commands no terminal and begins no line of its own (terminal: %s)', (terminal) => {
  const log = keep({ terminal })
  log.tell('topic_paused', { topic: hostile, code: 'C', error: hostile })
  expect(log.text().trimEnd()).not.toMatch(/[\p{C}\p{DI}\u2028]/u)
  if (terminal) expect(log.text()).toContain('topic=T\\u{1b}]0;pwned\\u{7}\\u{9b}2J\\u{202e}')
  else expect(log.lines()[0]).toMatchObject({ topic: hostile, error: hostile })
})
