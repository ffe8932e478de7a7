import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { docsUrl } from '../../src/message/errors.ts'
import { relayMetrics } from '../../src/ops/metrics.ts'
import { Telemetry } from '../../src/relay/telemetry.ts'
import { faults } from './faults.ts'
import { shorten } from './shorten.ts'

const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url))
const rules = readFileSync(path('ops/alerts.yml'), 'utf8')
const histories = readFileSync(path('test/alerts/rules.yml'), 'utf8')
const runbook = readFileSync(path('docs/runbook.md'), 'utf8')
const alerts = [...rules.matchAll(/- alert: (\w+)/g)].map(([, name]) => name!)

const there = !spawnSync('promtool', ['--version']).error
if (!there) console.log('promtool is not installed (Debian: prometheus): the rules are not run.')

/** Runs promtool; gives its exit code and what it says. */
function promtool(...args: string[]): [number | null, string] {
  const { status, stdout, stderr } = spawnSync('promtool', args, { encoding: 'utf8' })
  return [status, stdout + stderr]
}

describe.skipIf(!there)('by promtool', () => {
  test('the rules are well written', () => {
    expect(promtool('check', 'rules', path('ops/alerts.yml'))).toEqual([0, expect.stringContaining('SUCCESS')])
  })

  test('each fires in the history that is for it, and is silent in the one that is not', () => {
    expect(promtool('test', 'rules', path('test/alerts/rules.yml'))).toEqual([0, expect.stringContaining('SUCCESS')])
  })
})

describe('for injected faults', () => {
  test('the rules are the same, with every duration and every age a part of what it was', () => {
    expect(shorten('for: 5m\nincrease(a[1h]) > 32\nmax(outbox_lag_seconds) > 60')).toBe(
      'for: 10s\nincrease(a[120s]) > 32\nmax(outbox_lag_seconds) > 2',
    )
    const short = shorten(rules)
    expect(short).not.toMatch(/\d[mh]\b/)
    expect(short.match(/_seconds\) > \d+/g)).toEqual(['_seconds) > 2', '_seconds) > 30', '_seconds) > 60', '_seconds) > 120'])
    const without = (text: string) => text.replace(/(for: |\[|_seconds\) > )\d+[smh]?/g, '$1')
    expect(without(short)).toBe(without(rules))
  })

  test('every alert has a fault on which it fires', () => {
    expect([...new Set(faults.flatMap(({ fires }) => fires))].sort()).toEqual([...alerts].sort())
  })
})

test.each(alerts)('%s has a history in which it fires, one in which it does not, and a section of the runbook', (name) => {
  expect(histories).toContain(`- name: ${name} fires\n`)
  expect(histories).toContain(`- name: ${name} is silent\n`)
  expect(rules).toContain(`runbook_url: ${docsUrl}/runbook.md#${name.toLowerCase()}\n`)
  const section = runbook.split(`\n## ${name}\n`)[1]!.split('\n## ')[0]!
  for (const part of ['**Meaning.**', '**Check.**', '**Fix.**']) expect(section).toContain(part)
})

test('the runbook has no section of an alert that is not there', () => {
  expect([...runbook.matchAll(/^## (Outbox\w+)$/gm)].map(([, name]) => name)).toEqual(alerts)
})

const known = relayMetrics(new Telemetry())
  .getMetricsAsArray()
  .map(({ name }) => name)

test('the board shows every metric, and no other', () => {
  const board = JSON.parse(readFileSync(path('ops/grafana.json'), 'utf8')) as { panels: { targets: { expr: string }[] }[] }
  const expressions = board.panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)).join('\n')
  const shown = new Set(expressions.match(/\boutbox_\w+/g)!.map((name) => name.replace(/_bucket$/, '')))
  expect([...shown].sort()).toEqual([...known].sort())
})

test.each(['ops/alerts.yml', 'docs/runbook.md', 'test/alerts/rules.yml'])('every metric that %s names exists', (file) => {
  const named = new Set(
    readFileSync(path(file), 'utf8').match(/\boutbox_\w+_(?:total|seconds|messages|keys|alive|trouble|paused|ratio)\b/g),
  )
  expect(named.size).toBeGreaterThan(5)
  expect([...named].filter((name) => !known.includes(name))).toEqual([])
})
