import { describe, expect, test } from 'vitest'
import { ceiling, chart } from '../../../src/ops/dashboard/chart.ts'
import { commandLine } from '../../../src/ops/dashboard/command.ts'
import { filterOf, listCommandLine, selectionOf, wrongFields } from '../../../src/ops/dashboard/filter.ts'
import { History, pointMs, points } from '../../../src/ops/dashboard/history.ts'
import { html } from '../../../src/ops/dashboard/html.ts'
import { strip } from '../../../src/ops/dashboard/strip.ts'
import { ageMs, keyBytes, numberText } from '../../../src/ops/format.ts'
import { type RelayEvents, Telemetry } from '../../../src/relay/telemetry.ts'

describe('html', () => {
  test.each<[string, unknown, string]>([
    ['text is escaped', `<b a="1" c='2'>&`, '&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;'],
    ['HTML stays', html`<b>${'<'}</b>`, '<b>&lt;</b>'],
    ['each of a list is written on its own', ['<', html`<i>`, [1, null]], '&lt;<i>1'],
    ['what is nothing leaves nothing', [null, undefined, false], ''],
    ['zero is a number', 0, '0'],
    ['what turns a line around is written out', 'a\u202eb\u0000\u200b\ud800', 'a\\u{202e}b\\u{0}\\u{200b}\\u{d800}'],
    ['lines and tabs stay', 'a\n\tb', 'a\n\tb'],
    ['letters, marks and emoji stay', 'Zoë 日本 👍', 'Zoë 日本 👍'],
  ])('%s', (_, part, expected) => {
    expect(String(html`${part as string}`)).toBe(expected)
  })
})

describe('a command', () => {
  test.each<[string, string | undefined]>([
    ['TOO_LARGE', 'npx prisma-extension-outbox redrive --reason TOO_LARGE'],
    ['-x', "npx prisma-extension-outbox redrive --reason='-x'"],
    ["a'; rm -rf /; '", `npx prisma-extension-outbox redrive --reason='a'\\''; rm -rf /; '\\'''`],
    ['$(id) `id` !!', "npx prisma-extension-outbox redrive --reason='$(id) `id` !!'"],
    ['a\nid', undefined],
    ['a\u001b[201~id', undefined],
  ])('for the reason %j is %s', (reason, expected) => {
    expect(commandLine(['redrive'], { '--reason': reason })).toBe(expected)
  })
})

describe('a filter', () => {
  const filter = (query: string) => filterOf(new URL(`http://relay/messages?${query}`))

  test('reads every field, and leaves out what is empty', () => {
    expect(selectionOf(filter('topic=+t+&key=0x00ff&olderThan=2h&newerThan=&reason=R&order=newest'))).toEqual({
      dead: false,
      topic: 't',
      key: Buffer.from([0, 255]),
      reason: undefined,
      olderThanMs: 7_200_000,
      newerThanMs: undefined,
      depth: 500,
      newest: true,
    })
    expect(selectionOf(filter('state=dead&reason=R'))).toMatchObject({ dead: true, reason: 'R', topic: undefined, newest: false })
  })

  test('names the fields that hold no age', () => {
    expect(wrongFields(filter('olderThan=soon&newerThan=10m'))).toEqual(['olderThan'])
    expect(wrongFields(filter('olderThan=1.5h&newerThan=10'))).toEqual(['olderThan', 'newerThan'])
  })

  test('has a command that lists the same', () => {
    expect(listCommandLine(filter('topic=t&reason=R'))).toBe('npx prisma-extension-outbox list --topic t')
    expect(listCommandLine(filter('state=dead&reason=R&newerThan=1h'))).toBe(
      'npx prisma-extension-outbox list --dead --reason R --newer-than 1h',
    )
  })
})

test.each([
  ['90s', 90_000],
  ['10m', 600_000],
  ['7d', 604_800_000],
  ['10', undefined],
  ['-1s', undefined],
])('the age %s is %s ms', (text, ms) => {
  expect(ageMs(text)).toBe(ms)
})

test.each([
  ['a', [97]],
  ['0x', []],
  ['0x0aFF', [10, 255]],
  ['0x0', [48, 120, 48]],
])('the key %s is bytes %j', (text, bytes) => {
  expect([...keyBytes(text)]).toEqual(bytes)
})

test.each([
  [0, '0'],
  [0.25, '0.3'],
  [12.34, '12.3'],
  [1234.5, '1,235'],
  [9_999_999, '9,999,999'],
])('the number %d is written %s', (n, text) => {
  expect(numberText(n)).toBe(text)
})

describe('the last quarter of an hour', () => {
  function kept() {
    const clock = { now: 1_000_000 }
    const telemetry = new Telemetry()
    const history = new History(telemetry, () => clock.now)
    const published = (...agesMs: number[]) =>
      telemetry.emit('published', { topic: 't', partition: 0, records: agesMs.length, bytes: 1, ms: 1, agesMs, traces: [] })
    const sampled = (messages: number, oldestMs: number | null) =>
      telemetry.emit('sampled', { backlog: { messages, exact: true, oldestMs } } as RelayEvents['sampled'])
    const pass = (n: number) => {
      clock.now += n * pointMs
    }
    return { telemetry, history, published, sampled, pass }
  }

  test('has the rate and the latencies of five seconds once they are over', () => {
    const { history, published, pass } = kept()
    published(...Array.from({ length: 94 }, () => 10), ...Array.from({ length: 6 }, () => 5_000))
    expect(history.points.at(-1)).toMatchObject({ rate: null })
    pass(1)
    const { rate, p50, p95 } = history.points.at(-1)!
    expect(rate).toBe(20)
    expect(Math.abs(p50! / 10 - 1)).toBeLessThan(0.1)
    expect(Math.abs(p95! / 5_000 - 1)).toBeLessThan(0.1)
    pass(1)
    expect(history.points.at(-1)).toMatchObject({ rate: 0, p50: null, p95: null })
  })

  test.each<[string, number[]]>([
    ['old and new ones in turn', Array.from({ length: 100 }, (_, n) => (n % 10 === 9 ? 5_000 : 10))],
    ['the oldest first', Array.from({ length: 100 }, (_, n) => (n < 10 ? 5_000 : 10))],
    ['new ones by a clock that goes wrong', Array.from({ length: 100 }, (_, n) => (n < 10 ? 5_000 : n % 2 ? 10 : -10))],
  ])('the latencies of one batch count each for itself: %s', (_, agesMs) => {
    const { history, published, pass } = kept()
    published(...agesMs)
    pass(1)
    const sorted = [...agesMs].map((age) => Math.max(1, age)).sort((a, b) => a - b)
    const { p50, p95 } = history.points.at(-1)!
    expect(Math.abs(p50! / sorted[49]! - 1)).toBeLessThan(0.1)
    expect(Math.abs(p95! / sorted[94]! - 1)).toBeLessThan(0.1)
  })

  test('a message older than any step counts as of the last one', () => {
    const { history, published, pass } = kept()
    published(1e14)
    pass(1)
    expect(history.points.at(-1)!.p50).toBeGreaterThan(2e12)
  })

  test('a look at the tables counts until the next one, and no longer than until one fails', () => {
    const { telemetry, history, sampled, pass } = kept()
    sampled(7, 300)
    pass(3)
    telemetry.emit('sample_failed', { code: 'C' })
    pass(2)
    sampled(0, null)
    pass(1)
    const last = history.points.slice(-7).map(({ backlog, lagMs }) => [backlog, lagMs])
    expect(last).toEqual([
      [null, null],
      [7, 300],
      [7, 300],
      [7, 300],
      [null, null],
      [null, null],
      [0, 0],
    ])
  })

  test('forgets what is older', () => {
    const { history, published, pass } = kept()
    published(1)
    pass(points)
    expect(history.points[0]!.rate).toBe(0.2)
    pass(1)
    published(1)
    expect(history.points.map(({ rate }) => rate).filter((rate) => rate !== 0)).toEqual([])
  })
})

describe('a chart', () => {
  test.each([
    [0, 1],
    [1.5, 2],
    [3, 5],
    [5, 5],
    [60, 100],
    [1_234, 2_000],
  ])('above %d ends at %d', (value, top) => {
    expect(ceiling(value)).toBe(top)
  })

  const drawn = (values: (number | null)[]) =>
    String(chart({ title: 'T', lines: [{ name: 'l', values }], unit: (n) => `${n} s`, over: 'an hour' }))

  test('says in words what it draws', () => {
    expect(drawn([1, 4, 2])).toContain('aria-label="T, an hour: now 2 s; highest 4 s"')
    expect(drawn([null, null])).toContain('aria-label="T, an hour: no figures yet"')
  })

  test('leaves a gap where nothing is known, and shows a figure that stands alone', () => {
    const path = /class="line line-0" d="([^"]*)"/.exec(drawn([2, 1, null, 1, null]))![1]
    expect(path).toBe('M0 1L45 24M135 24h1')
  })
})

test('the strip tells relays apart without colour, and those of one name count as one', () => {
  const holders = [
    { bucket: 0, relay: 'b', expired: false },
    { bucket: 1, relay: 'a', expired: false },
    { bucket: 2, relay: 'a', expired: true },
    { bucket: 3, relay: null, expired: false },
  ]
  const text = String(strip(holders, []))
  expect([...text.matchAll(/<i [^>]*>(.)<\/i>/g)].map(([, mark]) => mark).join('')).toBe('BA!·')
  expect(text).toContain('aria-label="Leases of the 64 buckets: b 1, a 1, run out 1, free 1"')
})

test('every cell of a strip is drawn, whatever its owner', () => {
  const holders = Array.from({ length: 64 }, (_, bucket) => ({
    bucket,
    relay: bucket < 63 ? `relay-${bucket}` : null,
    expired: false,
  }))
  const text = String(strip(holders, []))
  expect([...text.matchAll(/<i [^>]*title="Bucket (\d+): /g)].map(([, bucket]) => Number(bucket))).toEqual(
    holders.map(({ bucket }) => bucket),
  )
})
