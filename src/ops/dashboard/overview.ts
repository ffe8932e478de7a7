import { docsUrl } from '../../message/errors.ts'
import type { RelayEvents } from '../../relay/telemetry.ts'
import { numberText, span } from '../format.ts'
import { stuckOf } from '../trouble.ts'
import { chart, countCeiling, latest, timeCeiling } from './chart.ts'
import { copyable } from './command.ts'
import type { Content } from './frame.ts'
import { type History, type Point, pointMs, points } from './history.ts'
import { cut, type Html, html, nameLength } from './html.ts'
import { lagMs, type Problem, type Tone, toneOf } from './problems.ts'
import type { Standing } from './standing.ts'
import type { State } from './state.ts'
import { strip } from './strip.ts'
import { row, table } from './table.ts'

/** Topics that are shown; the oldest messages first. */
const mostTopics = 30

/** What the overview is made of: everything is in memory, so that the page needs no database and looking at it costs it nothing. */
export interface OverviewDeps {
  state: State
  standing: Standing
  history: History
}

/** How the outbox and this relay stand. */
export function overview({ state, standing, history }: OverviewDeps): Content {
  const { sample } = standing
  const all = history.points.slice(-shownPoints(history.known))
  const main = html`${figures(sample, all)}
${state.problems.length > 0 && problemList(state.problems)}
${charts(sample, all)}
<section aria-labelledby="leases"><h2 id="leases">Leases${sample && html` <span class="note">${leaseText(sample)}</span>`}</h2>
${sample ? strip(sample.holders, sample.relays) : html`<p class="note">Not known yet.</p>`}</section>
<section aria-labelledby="topics"><h2 id="topics">Topics</h2>
${topicTable(standing)}</section>
${sample && html`<p class="note">Figures of the tables are ${span(standing.sampledMsAgo)} old.</p>`}`
  return { title: 'Overview', at: '/', main, refreshMs: pointMs }
}

/** As much as is known, in thirds of whole minutes: an empty chart says nothing. */
const shownPoints = (known: number): number => [3, 6].map((n) => (n * 60_000) / pointMs).find((n) => known <= n) ?? points

const leaseText = ({ leases }: RelayEvents['sampled']): string =>
  `${leases.held} of 64 held${leases.expired > 0 ? `, ${leases.expired} expired` : ''}${leases.free > 0 ? `, ${leases.free} free` : ''}`

function problemList(found: readonly Problem[]): Html {
  const one = (problem: Problem) => {
    const { runbook, what, remedy, command } = problem
    return html`<li class="${toneOf(problem)}"><strong>${cut(what, 300)}</strong> ${remedy}${command !== undefined && copyable(command)}
<a class="note" href="${docsUrl}/runbook.md#${runbook.toLowerCase()}">Runbook: ${runbook}</a></li>`
  }
  return html`<section aria-labelledby="problems"><h2 id="problems">Problems</h2>
<ul class="problems">${found.map(one)}</ul></section>`
}

/** One number each, with the color of what it means. */
function figures(sample: RelayEvents['sampled'] | undefined, all: readonly Point[]): Html {
  const refused = sample && Object.values(sample.dead.byReason).reduce((sum, n) => sum + n, 0)
  const rate = (of: 'all' | 'rate') => {
    const value = latest(all.map((point) => point[of]))
    return value === null ? '–' : rateText(value)
  }
  const shown: [name: string, value: string, tone?: Tone | false | undefined][] = [
    ['Waiting', sample ? `${sample.backlog.exact ? '' : '≈ '}${numberText(sample.backlog.messages)}` : '–'],
    [
      'Oldest',
      sample?.backlog.oldestMs == null ? '–' : span(sample.backlog.oldestMs),
      (sample?.backlog.oldestMs ?? 0) > lagMs && 'red',
    ],
    ['Published, all relays', rate('all')],
    ['Published, this relay', rate('rate')],
    ['Dead letters', sample ? `${numberText(refused!)}${sample.dead.exact ? '' : '+'}` : '–', (refused ?? 0) > 0 && 'amber'],
    ['Blocked keys', sample ? numberText(sample.blockedKeys) : '–', (sample?.blockedKeys ?? 0) > 0 && 'red'],
  ]
  return html`<section aria-labelledby="figures"><h2 id="figures" class="unseen">Figures</h2>
<dl class="figures">${shown.map(([name, value, tone]) => html`<div${tone && html` class="${tone}"`}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></section>`
}

const rateText = (perSecond: number): string => `${numberText(perSecond)}/s`

/** Latencies are told in milliseconds, as long as anybody would. */
const latencyText = (ms: number): string => (ms < 10_000 ? `${numberText(Math.round(ms))} ms` : span(ms))

/** Ages are told in seconds: a scale of less says nothing. */
const lagCeiling = (ms: number): number => Math.max(1_000, timeCeiling(ms))

function charts(sample: RelayEvents['sampled'] | undefined, all: readonly Point[]): Html {
  const line = (name: string, of: keyof Point, now?: number) => ({ name, values: all.map((point) => point[of]), now })
  const backlog = line('messages', 'backlog', sample?.backlog.messages)
  const lag = line('age', 'lagMs', sample && (sample.backlog.oldestMs ?? 0))
  return html`<section aria-labelledby="charts"><h2 id="charts">Last ${(all.length * pointMs) / 60_000} minutes</h2><div class="charts">
${chart({ title: 'Backlog', lines: [backlog], unit: numberText, ceiling: countCeiling, pointMs })}
${chart({ title: 'Lag: age of the oldest', lines: [lag], unit: span, ceiling: lagCeiling, pointMs })}
${chart({ title: 'Published', lines: [line('all relays', 'all'), line('this relay', 'rate')], unit: rateText, ceiling: countCeiling, pointMs })}
${chart({ title: 'Latency to acknowledgement', lines: [line('p50', 'p50'), line('p95', 'p95')], unit: latencyText, ceiling: timeCeiling, pointMs })}
</div></section>`
}

function topicTable({ sample, paused, published }: Standing): Html {
  const waiting = new Map(sample?.topics.map(({ topic, oldestMs }) => [topic, oldestMs]))
  const own = [...paused].map(([topic, code]) => ({ topic, partition: null, code }))
  const states = new Map<string, string>()
  for (const { topic, partition, code } of stuckOf(sample?.relays ?? [], own)) {
    const more = partition === null ? `paused: ${code}` : `partition ${partition}: ${code}`
    states.set(topic, states.has(topic) ? `${states.get(topic)}, ${more}` : more)
  }
  const names = [...new Set([...states.keys(), ...waiting.keys(), ...published.keys()])]
  if (names.length === 0) return html`<p class="note">None is known yet.</p>`
  const rank = (topic: string) => (states.has(topic) ? Number.POSITIVE_INFINITY : (waiting.get(topic) ?? 0))
  names.sort((a, b) => rank(b) - rank(a) || (a < b ? -1 : 1))
  const rows = names.slice(0, mostTopics).map((topic) => {
    const oldest = waiting.get(topic)
    return row({
      Topic: html`<a href="/messages?topic=${encodeURIComponent(topic)}">${cut(topic, nameLength)}</a>`,
      State: states.has(topic) ? html`<strong class="bad">${cut(states.get(topic)!, 300)}</strong>` : 'open',
      'Oldest waiting': oldest === undefined ? 'none waits' : span(oldest),
      'Published by this relay': numberText(published.get(topic) ?? 0),
    })
  })
  const more = names.length - rows.length
  return html`${table('Topics', ['Topic', 'State', 'Oldest waiting', 'Published by this relay'], rows)}
${more > 0 && html`<p class="note">… and ${more} more.</p>`}`
}
