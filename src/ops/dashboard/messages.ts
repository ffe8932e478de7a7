import type { ListedMessage, Operator, RelayState } from '../../store/operator.ts'
import { keyText, numberText, span } from '../format.ts'
import { describeFor } from '../trouble.ts'
import { copyable } from './command.ts'
import { depth, type Filter, filterOf, listCommandLine, selectionOf, wrongFields } from './filter.ts'
import { type Content, listRefreshMs } from './frame.ts'
import { cut, type Html, html, nameLength } from './html.ts'
import { row, table } from './table.ts'

/** Messages of one page. */
const limit = 50

/** The page Messages: what waits, or what is dead, by the filter in its address. */
export async function messages(
  url: URL,
  ask: <T>(what: (operator: Operator) => Promise<T>) => Promise<T>,
  servers: string,
): Promise<Content> {
  const filter = filterOf(url)
  const wrong = wrongFields(filter)
  const found = wrong.length > 0 ? [] : await ask((operator) => operator.list({ ...selectionOf(filter), limit: limit + 1 }))
  const trouble = found.some(({ state }) => state === 'waiting') ? await ask((operator) => operator.relays()) : []
  const main = html`${form(filter, wrong)}${wrong.length === 0 && html`${troubleOf(found, trouble, servers)}${list(filter, found)}`}`
  const content = { title: 'Messages', at: '/messages', main } as const
  return wrong.length > 0 ? { ...content, status: 400 } : { ...content, refreshMs: listRefreshMs }
}

function form(filter: Filter, wrong: readonly string[]): Html {
  const field = (name: 'topic' | 'key' | 'reason' | 'olderThan' | 'newerThan', label: string, hint = '') => {
    const bad = wrong.includes(name)
    return html`<label>${label}<input name="${name}" value="${filter[name]}" placeholder="${hint}" autocomplete="off" spellcheck="false"${
      bad && html` aria-invalid="true" aria-describedby="wrong"`
    }></label>`
  }
  const choice = (name: 'state' | 'order', label: string, options: readonly [string, string][]) =>
    html`<label>${label}<select name="${name}">${options.map(
      ([value, text]) => html`<option value="${value}"${filter[name] === value && html` selected`}>${text}</option>`,
    )}</select></label>`
  return html`<form method="get" action="/messages" role="search" aria-label="Messages">
${choice('state', 'State', [
  ['waiting', 'waiting'],
  ['dead', 'dead, blocked'],
])}
${field('topic', 'Topic')}${field('key', 'Key, or 0x…')}${filter.state === 'dead' && field('reason', 'Reason')}
${field('olderThan', 'Older than', '10m, 2h, 7d')}${field('newerThan', 'Newer than', '10m, 2h, 7d')}
${choice('order', 'Order', [
  ['oldest', 'oldest first'],
  ['newest', 'newest first'],
])}
<button>Show</button></form>
${wrong.length > 0 && html`<p class="bad" role="alert" id="wrong">An age is a number with a unit: 90s, 10m, 2h or 7d.</p>`}`
}

function list(filter: Filter, found: readonly ListedMessage[]): Html {
  const more = found.length > limit
  const end = filter.order === 'newest' ? 'last' : 'first'
  const note = html`<p class="note">Looked at the ${end} ${numberText(depth)} rows of each bucket. The command looks at all:</p>
${copyable(listCommandLine(filter))}`
  if (found.length === 0) return html`<p role="status">No messages.</p>${note}`
  return html`<p role="status">${more ? `The ${end} ${limit} messages; there are more.` : `${found.length === 1 ? '1 message' : `${found.length} messages`}.`}</p>
${table('Messages', ['Message', 'State', 'Topic', 'Type', 'Key', 'Age', 'Size', 'Claimed by'], found.slice(0, limit).map(messageRow))}
${note}`
}

/** What keeps these messages from Kafka, as far as relays have told. */
export function troubleOf(messages: readonly ListedMessage[], relays: readonly RelayState[], servers: string): Html {
  const all = describeFor(messages, relays, servers)
  return html`${all.map(({ what, remedy, command }) => html`<p class="bad"><strong>${what}</strong> ${remedy}</p>${command !== undefined && copyable(command)}`)}`
}

const messageRow = (message: ListedMessage): Html => {
  const cells = {
    Message: shortId(message),
    State: stateText(message),
    Topic: cut(message.topic, nameLength),
    Type: message.type === null ? '' : cut(message.type, nameLength),
    Key: html`<span class="bytes">${keyText(message.key, 60)}</span>`,
    Age: span(message.ageMs),
    Size: message.bytes === null ? '' : `${numberText(message.bytes)} B`,
    'Claimed by': message.claimedBy === null ? 'nobody' : cut(message.claimedBy, nameLength),
  }
  return row(cells, `${message.bucket}.${message.id}`)
}

/** Both ends of the id: ids of one moment begin with the same time. The whole one is a hover or a click away. */
function shortId({ messageId, bucket, id }: ListedMessage): Html {
  const short = `${messageId.slice(0, 8)}…${messageId.slice(-8)}`
  return html`<span class="id"><a href="/message?id=${messageId}&at=${bucket}.${id}" title="${messageId}"><code>${short}</code></a>
<button type="button" data-copy aria-label="Copy: ${messageId}">Copy</button></span>`
}

/** State, reason and request of a message in a few words. */
export function stateText({ state, reason, requestedAction }: ListedMessage): string {
  const words = reason === null ? state : `${state}: ${cut(reason, nameLength)}`
  return requestedAction === null ? words : `${words}, ${requestedAction} asked for`
}
