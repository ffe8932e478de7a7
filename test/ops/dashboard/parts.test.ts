import { describe, expect, test } from 'vitest'
import { chart, countCeiling, timeCeiling } from '../../../src/ops/dashboard/chart.ts'
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
    const sampled = (messages: number, oldestMs: number | null, deletedRows = 0) =>
      telemetry.emit('sampled', { backlog: { messages, exact: true, oldestMs }, deletedRows } as RelayEvents['sampled'])
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

  test('has what all relays publish beside it: never less than this one, and for one interval as the last sample had it', () => {
    const { history, published, sampled, pass } = kept()
    sampled(0, null, 1_000)
    pass(1)
    sampled(0, null, 1_500)
    pass(1)
    sampled(0, null, 1_510)
    published(...Array.from({ length: 100 }, () => 1))
    expect(history.points.slice(-3).map(({ all }) => all)).toEqual([null, 100, 2])
    pass(1)
    expect(history.points.at(-1)).toMatchObject({ all: 20, rate: 20 })
    pass(1)
    expect(history.points.at(-1)).toMatchObject({ all: null, rate: 0 })
  })

  test('is as long as is known', () => {
    const { history, pass } = kept()
    expect(history.known).toBe(0)
    pass(7)
    expect(history.known).toBe(7)
    pass(points)
    expect(history.known).toBe(points)
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
    [0, 2],
    [1.5, 2],
    [3, 4],
    [5, 6],
    [6, 6],
    [60, 60],
    [99, 100],
    [101, 200],
    [1_234, 2_000],
  ])('above %d ends at %d', (value, top) => {
    expect(countCeiling(value)).toBe(top)
  })

  test.each([
    [0, 2],
    [7, 8],
    [9_001, 10_000],
    [10_001, 20_000],
    [40_000, 60_000],
    [195_000, 240_000],
    [3_500_000, 3_600_000],
    [90_000_000, 172_800_000],
  ])('of times above %d ms ends at %d ms', (value, top) => {
    expect(timeCeiling(value)).toBe(top)
  })

  const drawn = (...lines: (number | null)[][]) =>
    String(
      chart({
        title: 'T',
        lines: lines.map((values, n) => ({ name: `l${n}`, values })),
        unit: (n) => `${n} s`,
        ceiling: countCeiling,
        pointMs: 60_000,
      }),
    )

  test('says in words what it draws', () => {
    expect(drawn([1, 4, 2])).toContain('aria-label="T, last 3 minutes: now 2 s; highest 4 s"')
    expect(drawn([null, null, null])).toContain('aria-label="T, last 3 minutes: no figures yet"')
    expect(drawn([1, 4, 2], [5, null, null])).toContain('now l0 2 s, l1 5 s; highest 5 s"')
  })

  test('has both scales, and the figures of each line by their place', () => {
    const text = drawn([1, 4, null], [5, 6, 7])
    expect([...text.matchAll(/<span>([^<]*)<\/span>/g)].map(([, label]) => label)).toEqual([
      ...['T', '8 s', '4 s', '0', '−3 min', '−2 min', '−1 min', 'now'],
    ])
    expect([...text.matchAll(/data-values="([^"]*)"/g)].map(([, values]) => values)).toEqual(['1 s|4 s|–', '5 s|6 s|7 s'])
    expect([...text.matchAll(/<i class="key-\d"><\/i>(l\d)/g)].map(([, name]) => name)).toEqual(['l0', 'l1'])
  })

  test('names the figure of this moment as the rest of the page does', () => {
    const lines = [{ name: 'l', values: [1, 3], now: 4 }]
    expect(String(chart({ title: 'T', lines, unit: String, ceiling: countCeiling, pointMs: 60_000 }))).toContain(
      'now 4; highest 3',
    )
  })

  test('leaves a gap where nothing is known, and shows a figure that stands alone, and the end', () => {
    const paths = (values: (number | null)[]) => [...drawn(values).matchAll(/class="(area|line|dot)[^"]*"[^>]* d="([^"]*)"/g)]
    expect(paths([2, 1, null, 1, null]).map(([, name, d]) => [name, d])).toEqual([
      ['area', 'M0 200L0 0l1 100V200Z'],
      ['line', 'M0 0l1 100M3 100h0'],
    ])
    expect(paths([0, 2]).at(-1)!.slice(1)).toEqual(['dot', 'M1 0h0'])
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

test('a relay that is gone and holds nothing has no letter: the living begin with A', () => {
  const state = {
    startedMsAgo: 1,
    seenMsAgo: 1,
    ackedMsAgo: null,
    answeredMsAgo: null,
    withoutKafka: false,
    trouble: [],
    version: '0',
  }
  const relays = [
    { ...state, name: 'a-gone', alive: false, buckets: 0 },
    { ...state, name: 'b-living', alive: true, buckets: 64 },
  ]
  const text = String(strip([{ bucket: 0, relay: 'b-living', expired: false }], relays))
  expect([...text.matchAll(/<i class="mark relay-0"[^>]*>(.)<\/i>/g)].map(([, mark]) => mark)).toEqual(['A', 'A'])
  expect(text).toContain('a-gone')
  expect(text.match(/<i /g)).toHaveLength(2)
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
