import type { DeadGroup, Operator } from '../../store/operator.ts'
import { counted, numberText, span } from '../format.ts'
import { commandLine, copyable } from './command.ts'
import { depth } from './filter.ts'
import { type Content, listRefreshMs } from './frame.ts'
import { cut, type Html, html, nameLength } from './html.ts'
import { row, table } from './table.ts'

/** Reasons, and topics of one, that are shown. */
const mostReasons = 20
const mostTopics = 20

/** The page Dead: what Kafka refused for good, by reason, with the commands that put it back or drop it. */
export async function dead(ask: <T>(what: (operator: Operator) => Promise<T>) => Promise<T>): Promise<Content> {
  const groups = await ask((operator) => operator.deadGroups(depth))
  const behind = groups.filter((group) => group.reason === null).reduce((sum, group) => sum + group.messages, 0)
  const reasons = new Map<string, DeadGroup[]>()
  for (const group of groups) {
    if (group.reason !== null) reasons.set(group.reason, [...(reasons.get(group.reason) ?? []), group])
  }
  const main = html`${reasons.size === 0 && html`<p role="status">No message is dead.</p>`}
${behind > 0 && html`<p>${numberText(behind)} more wait behind dead messages of their key. A redrive brings whole keys back, in order.</p>`}
${[...reasons].slice(0, mostReasons).map(([reason, of]) => section(reason, of))}
${reasons.size > mostReasons && html`<p class="note">… and ${reasons.size - mostReasons} more reasons.</p>`}
${groups.some((group) => group.cut) && html`<p class="note">Counted among the first ${numberText(depth)} dead rows of each bucket: there may be more.</p>`}`
  return { title: 'Dead', at: '/dead', main, refreshMs: listRefreshMs }
}

function section(reason: string, groups: readonly DeadGroup[]): Html {
  const messages = groups.reduce((sum, group) => sum + group.messages, 0)
  const address = (topic = '') => `/messages?state=dead&reason=${encodeURIComponent(reason)}&topic=${encodeURIComponent(topic)}`
  const rows = groups.slice(0, mostTopics).map((group) =>
    row({
      Topic: html`<a href="${address(group.topic)}">${cut(group.topic, nameLength)}</a>`,
      Messages: numberText(group.messages),
      Oldest: span(group.oldestMs),
      'What was said of one': cut(group.error ?? '', 300),
    }),
  )
  const more = groups.length - rows.length
  return html`<section class="group">
<h2>${cut(reason, nameLength)}: <a href="${address()}">${counted(messages, 'message')}</a></h2>
${table(`Topics of ${cut(reason, nameLength)}`, ['Topic', 'Messages', 'Oldest', 'What was said of one'], rows)}
${more > 0 && html`<p class="note">… and ${more} more topics.</p>`}
<p>Remove the cause. See what a redrive would touch, then send it again:</p>
${copyable(commandLine(['redrive', '--dry-run'], { '--reason': reason }))}
${copyable(commandLine(['redrive'], { '--reason': reason }))}
<p>Or drop them for good; it asks first:</p>
${copyable(commandLine(['discard'], { '--reason': reason }))}
</section>`
}
