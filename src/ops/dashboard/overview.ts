import { docsUrl } from '../../message/errors.ts'
import type { RelayEvents } from '../../relay/telemetry.ts'
import { numberText, span } from '../format.ts'
import type { LivenessCheck } from '../liveness.ts'
import { stuckOf } from '../trouble.ts'
import { chart } from './chart.ts'
import { copyable } from './command.ts'
import type { Content } from './frame.ts'
import { type History, pointMs, points } from './history.ts'
import { cut, type Html, html, nameLength } from './html.ts'
import { type Problem, problems } from './problems.ts'
import type { Standing } from './standing.ts'
import { strip } from './strip.ts'
import { row, table } from './table.ts'

/** Topics that are shown; the oldest messages first. */
const mostTopics = 30

/** What the overview is made of: everything is in memory, so that the page needs no database and looking at it costs it nothing. */
export interface OverviewDeps {
  liveness: LivenessCheck
  standing: Standing
  history: History
  /** Brokers for the commands that help. */
  servers: string
}

/** How the outbox and this relay stand. */
export function overview({ liveness, standing, history, servers }: OverviewDeps): Content {
  const { databaseTrouble, kafkaTrouble } = liveness.signs
  const { sample, paused, sampleFailed, dying, disordered, locked, kept } = standing
  const told = { paused, servers, dying, disordered, locked, kept, sample, sampleFailed }
  const found = problems({ live: liveness.live, databaseTrouble, kafkaTrouble, ...told })
  const main = html`<p class="state"><strong>${liveness.live.alive ? 'This relay is alive' : 'This relay is stuck'}</strong>: ${liveness.live.why}.
${sample ? `The tables were looked at ${span(standing.sampledMsAgo)} ago.` : 'The tables were not looked at yet.'}</p>
${problemList(found)}
${sample && figures(sample)}
${charts(history)}
<section aria-labelledby="leases"><h2 id="leases">Leases</h2>
${sample ? strip(sample.holders, sample.relays) : html`<p class="note">Not known yet.</p>`}</section>
<section aria-labelledby="topics"><h2 id="topics">Topics</h2>
${topicTable(standing)}</section>
<p class="refresh"><button type="button" data-pause hidden>Stop updating</button> <span role="status" data-updated></span></p>`
  return { title: 'Overview', at: '/', main, refreshMs: pointMs }
}

function problemList(found: readonly Problem[]): Html {
  const one = ({ runbook, what, remedy, command }: Problem) =>
    html`<li><strong>${cut(what, 300)}</strong> ${remedy}${command !== undefined && copyable(command)}
<a class="note" href="${docsUrl}/runbook.md#${runbook.toLowerCase()}">Runbook: ${runbook}</a></li>`
  return html`<section aria-labelledby="problems"><h2 id="problems">Problems</h2>
${found.length === 0 ? html`<p class="well">None is known.</p>` : html`<ul class="problems">${found.map(one)}</ul>`}</section>`
}

function figures({ backlog, dead, leases, blockedKeys }: RelayEvents['sampled']): Html {
  const refused = Object.values(dead.byReason).reduce((sum, n) => sum + n, 0)
  const shown: [string, string][] = [
    ['Waiting', `${backlog.exact ? '' : 'about '}${numberText(backlog.messages)}`],
    ['Oldest', backlog.oldestMs === null ? '–' : span(backlog.oldestMs)],
    ['Dead', `${numberText(refused)}${dead.exact ? '' : ' or more'}`],
    ['Keys that wait behind them', numberText(blockedKeys)],
    ['Leases held, run out, free', `${leases.held}, ${leases.expired}, ${leases.free}`],
  ]
  return html`<section aria-labelledby="figures"><h2 id="figures" class="unseen">Figures</h2>
<dl class="figures">${shown.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></section>`
}

function charts(history: History): Html {
  const all = history.points
  const over = `last ${Math.round((points * pointMs) / 60_000)} minutes`
  const line = (name: string, of: keyof (typeof all)[number]) => ({ name, values: all.map((point) => point[of]) })
  return html`<section aria-labelledby="charts"><h2 id="charts">Last quarter of an hour</h2><div class="charts">
${chart({ title: 'Backlog', lines: [line('messages', 'backlog')], unit: numberText, over })}
${chart({ title: 'Lag: age of the oldest', lines: [line('age', 'lagMs')], unit: span, over })}
${chart({ title: 'Published by this relay', lines: [line('rate', 'rate')], unit: (n) => `${numberText(n)}/s`, over })}
${chart({ title: 'Latency to acknowledgement', lines: [line('half', 'p50'), line('95 %', 'p95')], unit: span, over })}
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
