import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { describe, expect, inject, onTestFinished, test, vi } from 'vitest'
import { fitted, Screen } from '../../src/cli/screen.ts'
import { watch, watchAsJson } from '../../src/cli/watch.ts'
import { OperatorOnDemand } from '../../src/ops/dashboard/on-demand.ts'
import { pointMs, Rate, sparkline } from '../../src/ops/rate.ts'
import { postgresOperator } from '../../src/store/postgres/operator.ts'
import { builtMain } from '../support/build.ts'
import { cli } from '../support/cli.ts'
import { useDatabase } from '../support/database.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { insertMany, insertRows, withoutChecks } from '../support/rows.ts'
import { Terminal } from '../support/terminal.ts'
import { createTopic } from '../support/topics.ts'

// Leases run out and relays start while it is looked at.
vi.setConfig({ testTimeout: 120_000 })

const database = useDatabase('emptied')

/** Watches in a terminal until the test is over; `done` is how it ended. */
function watching(terminal = new Terminal()) {
  const end = new AbortController()
  const operator = new OperatorOnDemand(() => postgresOperator({ databaseUrl: database.url, timeoutMs: 2_000 }))
  const done = watch((what) => operator.ask(what), terminal, end.signal, 'kafka-1:9092')
  onTestFinished(async () => {
    end.abort()
    await done.catch(() => {})
    operator.close()
  })
  return { terminal, done }
}

const relayNamed = (name: string) =>
  startRelayProcess({
    DATABASE_URL: database.url,
    KAFKA_BROKERS: inject('brokers'),
    OUTBOX_LEASE_MS: '3000',
    OUTBOX_NAME: name,
  })

describe('status --watch in a terminal', () => {
  test('draws the flow of a relay in its place: backlog, rate, leases by relay; nothing scrolls', async () => {
    const topic = await createTopic('watch')
    const { terminal } = watching()
    await terminal.until((text) => text.includes('Relays    none is running'))
    relayNamed('relay-1')
    await terminal.until((text) => /^relay-1 +alive +64 /m.test(text))
    await insertMany(database.pool, topic, 3_000, 50)
    await terminal.until((text) => /^Rate +[1-9][\d,.]*\/s leave the outbox;/m.test(text))
    const text = await terminal.until((text) => /^ +[▁-█]* *[▂-█]/m.test(text) && text.includes('Waiting   0 messages'))
    expect(text).toMatch(/^Lag +none waits$/m)
    expect(text).toMatch(/in 3 minutes at most [1-9][\d,.]*\/s$/m)
    expect(text).toContain('Leases    64 held, 0 expired, 0 free')
    expect(text).toContain('No problem is known.')
    // None, one, its rate: what comes after may be drawn with that.
    expect(terminal.writes).toBeGreaterThanOrEqual(3)
    expect([terminal.scrolled, text.match(/^Waiting/gm)!.length]).toEqual([0, 1])
  })

  test('names problems with the remedy and the command, in the words of the dashboard, and they go when they are over', async () => {
    await insertRows(database.pool, [{ topic: 'not-there', key: 'a' }])
    await database.query("UPDATE outbox SET created_at = clock_timestamp() - interval '2 minutes'")
    const { terminal } = watching()
    const text = await terminal.until((text) => text.includes('! '))
    expect(text).toMatch(/^Lag +not-there 2 min/m)
    expect(text).toContain('! The oldest message of not-there has waited for 2 min')
    expect(text).toContain('  See who has claimed it. Where every relay is busy, start another one.')
    expect(text).toContain('  $ npx prisma-extension-outbox list --limit 10 --topic not-there')
    expect(text).toContain('! 64 buckets of 64 belong to no relay.')
    await database.query('DELETE FROM outbox')
    relayNamed('relay-1')
    await terminal.until((text) => text.includes('No problem is known.'))
  })

  test('tells a look that failed and goes on: what it shows is older, and it says so', async () => {
    const { terminal } = watching()
    await terminal.until((text) => text.includes('Waiting   0 messages'))
    await database.query('ALTER TABLE outbox RENAME TO hidden')
    const text = await terminal.until((text) => text.includes('! The last look at the tables failed'))
    expect(text).toContain('Waiting   0 messages')
    await database.query('ALTER TABLE hidden RENAME TO outbox')
    await terminal.until((text) => !text.includes('! The last look'))
  })

  test('throws where the first look fails', async () => {
    await database.query('ALTER TABLE outbox RENAME TO hidden')
    onTestFinished(async () => void (await database.query('ALTER TABLE hidden RENAME TO outbox')))
    await expect(watching().done).rejects.toMatchObject({ code: 'OUTBOX_TABLES_MISSING' })
  })
})

test('status --watch into a pipe is a plain line for each look, without a sign for a terminal', async () => {
  await withoutChecks(database.pool)
  await insertRows(database.pool, [{ topic: 't\u001b[2J', key: 'a' }])
  const child = spawn(process.execPath, [builtMain, 'status', '--watch'], {
    env: { PATH: process.env.PATH ?? '', DATABASE_URL: database.url },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const lines: string[] = []
  for await (const line of createInterface({ input: child.stdout })) if (lines.push(line) === 3) break
  for (const line of lines) {
    expect(line).toMatch(
      /^\d{4}-[\dT:.-]+Z; waiting 1; lag [\d.]+ (s|min)\b.*; rate (-|[\d.]+\/s); leases 0 held 0 expired 64 free; relays none; dead 0/,
    )
    expect(line).not.toMatch(/\p{C}/u)
  }
})

test('status once shows the problems of --watch, with remedy and command, also as JSON, and none where there are none', async () => {
  await insertRows(database.pool, [{ topic: 'not-there', key: 'a' }])
  await database.query("UPDATE outbox SET created_at = clock_timestamp() - interval '2 minutes'")
  await database.query(
    `INSERT INTO outbox_dead_letter (bucket, id, message_id, topic, created_at, reason, error, relay) VALUES (0, 9, gen_random_uuid(), 't', now(), 'LATE', 'e', gen_random_uuid())`,
  )
  const env = { DATABASE_URL: database.url }
  const { terminal } = watching(new Terminal({ rows: 60, columns: 81 }))
  const seen = await terminal.until((text) => text.includes('! '))
  const problemsOf = (text: string) =>
    text
      .slice(text.indexOf('! '))
      .trim()
      .replace(/for \d.*\.$/gm, 'for …')
      .split('\n')
  const { code, stdout } = await cli(['status'], env)
  expect([code, problemsOf(stdout)]).toEqual([0, problemsOf(seen)])
  expect(stdout).toMatch(/^! The oldest message of not-there has waited for 2 min/m)
  expect(stdout).toMatch(/^! 64 buckets of 64 belong to no relay\.$/m)
  expect(stdout).toMatch(
    /^! Kafka refused 1 message for good\.\n {2}Remove the cause, .*\n( {2}.*\n)? {2}\$ npx prisma-extension-outbox list --dead$/m,
  )
  for (const line of stdout.split('\n')) if (!line.startsWith('  $ ')) expect(line.length).toBeLessThanOrEqual(80)
  const { problems } = JSON.parse((await cli(['status', '--json'], env)).stdout)
  expect(problems.map(({ runbook }: { runbook: string }) => runbook)).toEqual(['OutboxLag', 'OutboxNoRelay', 'OutboxDeadLetter'])
  expect(problems[2]).toMatchObject({
    what: expect.anything(),
    remedy: expect.anything(),
    command: expect.stringContaining('list --dead'),
  })
  await database.query('DELETE FROM outbox; DELETE FROM outbox_dead_letter')
  const relay = relayNamed('relay-1')
  await relay.until((line) => line.event === 'leases_taken' && line.owned === 64)
  expect((await cli(['status'], env)).stdout).not.toContain('!')
  expect(JSON.parse((await cli(['status', '--json'], env)).stdout).problems).toEqual([])
})

describe('status --watch --json', () => {
  test('goes on after a look that failed, with a line among the errors and none among the answers', async () => {
    const [answers, errors] = [new Terminal({ columns: 1_000 }), new Terminal({ columns: 1_000 })]
    const end = new AbortController()
    const operator = new OperatorOnDemand(() => postgresOperator({ databaseUrl: database.url, timeoutMs: 2_000 }))
    const done = watchAsJson((what) => operator.ask(what), answers, errors, end.signal, 'kafka-1:9092')
    onTestFinished(async () => {
      end.abort()
      await done
      operator.close()
    })
    await answers.until((text) => text.includes('}\n'))
    await database.query('ALTER TABLE outbox RENAME TO hidden')
    await errors.until((text) =>
      text.includes('! The last look at the tables failed (OUTBOX_TABLES_MISSING): the figures are old.'),
    )
    await database.query('ALTER TABLE hidden RENAME TO outbox')
    await insertRows(database.pool, [{ topic: 'later', key: 'a' }])
    const text = await answers.until((text) => text.includes('"messages":1'))
    for (const line of text.trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('backlog.exact', true)
  })
})

describe('a screen', () => {
  test.each([
    { rows: 24, columns: 80, lines: ['a', 'b'], shows: ['a', 'b', ''] },
    { rows: 4, columns: 80, lines: ['a', 'b', 'c', 'd'], shows: ['a', 'b', '… 2 lines more', ''] },
    { rows: 24, columns: 5, lines: ['abcdef', '日本語'], shows: ['abcd', '日本', ''] },
  ])(
    'of $rows rows and $columns columns shows $lines as $shows, and the same after the second time',
    ({ lines, shows, ...size }) => {
      const terminal = new Terminal(size)
      const screen = new Screen(terminal)
      screen.draw(lines)
      expect(terminal.lines).toEqual(shows)
      screen.draw(lines)
      expect([terminal.lines, terminal.scrolled]).toEqual([shows, 0])
    },
  )

  test('leaves what stood above it, and nothing of a picture that was longer', () => {
    const terminal = new Terminal()
    terminal.write('$ status --watch\n')
    const screen = new Screen(terminal)
    screen.draw(['long line', 'second', 'third'])
    screen.draw(['short'])
    expect(terminal.lines).toEqual(['$ status --watch', 'short', ''])
  })

  test('of a terminal whose size has changed is drawn from the top: nobody knows where the lines are', () => {
    const terminal = new Terminal({ columns: 20 })
    terminal.write('$ status --watch\n')
    const screen = new Screen(terminal)
    screen.draw(['one', 'two'])
    terminal.columns = 10
    screen.draw(['three'])
    expect(terminal.lines).toEqual(['three', ''])
  })

  test('shows what would command the terminal as text', () => {
    expect(fitted('a\u001b[2J\nb\u202e', 80)).toBe('a\\u{1b}[2J b\\u{202e}')
  })
})

describe('the rate of a counter', () => {
  /** Reads the counter at these seconds. */
  const read = (readings: readonly [seconds: number, count: number][], points = 4) => {
    const rate = new Rate(points)
    for (const [seconds, count] of readings) rate.read(seconds * 1_000, count)
    return rate
  }

  test.each([
    { name: 'is unknown before the second reading', readings: [[0, 100]], perSecond: null, points: [null, null, null, null] },
    {
      name: 'is that of the time since the first one',
      readings: [
        [0, 100],
        [2, 300],
      ],
      perSecond: 100,
      points: [null, null, null, null],
    },
    {
      name: 'is that of the last five seconds',
      readings: [
        [0, 0],
        [5, 1_000],
        [10, 1_500],
      ],
      perSecond: 100,
      points: [null, null, 200, 100],
    },
    {
      name: 'is shared out over points between readings',
      readings: [
        [2, 0],
        [12, 1_000],
      ],
      perSecond: 100,
      points: [null, null, null, 100],
    },
    {
      name: 'starts over where the counter did',
      readings: [
        [0, 5_000],
        [5, 6_000],
        [10, 10],
        [15, 60],
      ],
      perSecond: 10,
      points: [null, null, null, 10],
    },
  ] as { name: string; readings: [number, number][]; perSecond: number | null; points: (number | null)[] }[])('$name', (of) => {
    const rate = read(of.readings)
    expect([rate.perSecond, rate.points]).toEqual([of.perSecond, of.points])
  })

  test('keeps all its points, however long it is read', () => {
    const rate = read(
      Array.from({ length: 100 }, (_, n): [number, number] => [n, n * 7]),
      3,
    )
    expect(rate.points).toEqual([7, 7, 7])
    expect(pointMs).toBe(5_000)
  })

  test.each<[string, [number, number][]]>([
    [
      'a burst between two points',
      [
        [0, 0],
        [3, 0],
        [4, 100],
        [8, 100],
        [9, 100],
      ],
    ],
    [
      'a burst right at the start',
      [
        [0, 0],
        [1, 500],
        [2, 500],
      ],
    ],
    ['a flow that grows', Array.from({ length: 40 }, (_, n) => [n + 0.5, n * n] as [number, number])],
    [
      'a counter that starts over',
      [
        [0, 1_000],
        [5, 1_500],
        [10, 0],
        [12, 400],
        [14, 400],
      ],
    ],
  ])('is never above the highest, now or later: %s', (_, readings) => {
    const rate = new Rate(36)
    let shown = 0
    for (const [seconds, count] of readings) {
      if (count === 0) shown = 0
      rate.read(seconds * 1_000, count)
      shown = Math.max(shown, rate.perSecond ?? 0)
      expect(rate.highest).toBeGreaterThanOrEqual(shown)
      expect(rate.highest).toBeGreaterThanOrEqual(Math.max(...rate.points.map((value) => value ?? 0)))
    }
    expect(shown).toBeGreaterThan(0)
  })

  test('the highest is forgotten with its point', () => {
    const rate = read([
      [0, 0],
      [1, 500],
      [2, 500],
      [30, 500],
    ])
    expect([rate.highest, rate.perSecond]).toEqual([0, 0])
  })

  test.each([
    [[], ''],
    [[0, 0], '▁▁'],
    [[null, 0, 5, 10], ' ▁▅█'],
  ])('%j is drawn as "%s"', (values, line) => {
    expect(sparkline(values)).toBe(line)
  })
})
