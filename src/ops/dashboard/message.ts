import type { Operator, ShownMessage } from '../../store/operator.ts'
import { isMessageId, keyText, numberText, span } from '../format.ts'
import { commandLine, copyable } from './command.ts'
import type { Content } from './frame.ts'
import { cut, type Html, html, nameLength, type Part } from './html.ts'
import { stateText, troubleOf } from './messages.ts'

/** Bytes of headers, and of a payload, that are loaded for a page, and characters of them that it shows. */
const mostBytes = 262_144
const mostText = 8_000

/** Headers that are shown. */
const mostHeaders = 50

/** The page of one message: its way through time, and what it carries. Header values and payload only with `payload`. */
export async function message(
  url: URL,
  ask: <T>(what: (operator: Operator) => Promise<T>) => Promise<T>,
  { payload, servers }: { payload: boolean; servers: string },
): Promise<Content> {
  const id = url.searchParams.get('id')?.trim().toLowerCase() ?? ''
  const found = isMessageId(id)
    ? await ask((operator) => operator.show(id, payload, { place: placeOf(url.searchParams.get('at')), mostBytes }))
    : null
  const content = { title: 'Message', at: '/messages' } as const
  if (found) {
    const relays = found.state === 'waiting' ? await ask((operator) => operator.relays()) : []
    return { ...content, main: html`${troubleOf([found], relays, servers)}${shown(found, payload)}` }
  }
  return { ...content, status: 404, main: isMessageId(id) ? nowhere(id) : finder() }
}

/** Where the link of a list found it: message ids have no index. */
function placeOf(text: string | null): { bucket: number; id: number } | undefined {
  const [, bucket, id] = /^(\d{1,2})\.(\d{1,15})$/.exec(text ?? '') ?? []
  return bucket === undefined || id === undefined ? undefined : { bucket: Number(bucket), id: Number(id) }
}

const finder = (): Html => html`<form method="get" action="/message" role="search" aria-label="Message">
<label>Message id: what enqueue returned, and the Kafka header id<input name="id" required size="40" autocomplete="off" spellcheck="false"></label>
<button>Show</button></form>`

const nowhere = (
  id: string,
): Html => html`<p role="status">The message <code>${id}</code> is not in the outbox any more, or not at this place.</p>
<p>It was published or discarded, or put back after it was dead, or its transaction rolled back. Its topic tells which. This command looks everywhere:</p>
${copyable(commandLine(['show', id]))}${finder()}`

function shown(message: ShownMessage, payload: boolean): Html {
  const facts: [string, Part][] = [
    ['Message', html`<code>${message.messageId}</code>`],
    ['State', stateText(message)],
    ['Topic', cut(message.topic, 300)],
    ['Type', message.type === null ? undefined : cut(message.type, 300)],
    ['Key', html`<span class="bytes">${keyText(message.key, 300)}</span>`],
    ['Position', `bucket ${message.bucket}, id ${message.id}`],
    ['Size', message.bytes === null ? 'not visible to this role' : `${numberText(message.bytes)} bytes`],
    ['Behind it', message.blocked === 0 ? undefined : `${numberText(message.blocked)} of its key wait`],
  ]
  const given = facts.filter(([, value]) => value !== undefined)
  return html`<dl class="facts">${given.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>
<h2>Its way</h2>${way(message)}
${message.reason !== null && commands(message)}
<h2>Headers</h2>${headers(message, payload)}
<h2>Payload</h2>${payloadOf(message, payload)}`
}

/** What has happened to it so far, and what it waits for. */
function way(message: ShownMessage): Html {
  const { createdAt, diedAt, diedBy, reason, error, requestedAction, requestedBy, state, claimedBy, claimedUntil, claimedForMs } =
    message
  const at = (time: string) => html`<time datetime="${time}">${time}</time>`
  const claimed = html`its bucket is claimed by ${cut(claimedBy ?? '', nameLength)} until ${at(claimedUntil ?? '')}, for ${span(claimedForMs ?? 0)}`
  const steps: (Part | false)[] = [
    html`${at(createdAt)}: enqueued, ${span(message.ageMs)} ago.`,
    diedAt !== null &&
      reason === null &&
      html`${at(diedAt)}: moved behind a dead message of its key by ${cut(diedBy ?? '', nameLength)}.`,
    diedAt !== null &&
      reason !== null &&
      html`${at(diedAt)}: refused for good, taken out of the way by ${cut(diedBy ?? '', nameLength)}. <strong>${cut(reason, nameLength)}</strong>: ${cut(error ?? '', 1_000)}`,
    state === 'skipped' && 'Its key went on without it.',
    requestedAction !== null &&
      `Asked for: ${requestedAction}${requestedBy === null ? '' : `, by ${cut(requestedBy, nameLength)}`}. The relay that owns its bucket carries it out.`,
    state === 'waiting' && html`Now: waits for Kafka; ${claimedBy === null ? 'nobody has claimed its bucket' : claimed}.`,
    state === 'dead' && requestedAction === null && 'Now: waits for a redrive or a discard.',
    state === 'blocked' && 'Now: waits until the dead message before it is redriven or discarded.',
  ]
  return html`<ol class="way">${steps.filter((step) => step !== false).map((step) => html`<li>${step}</li>`)}</ol>`
}

const commands = ({ messageId }: ShownMessage): Html => html`<h2>What to do</h2>
<p>Remove the cause, then send it again with all that waits behind it:</p>${copyable(commandLine(['redrive', messageId]))}
<p>Or drop it for good:</p>${copyable(commandLine(['discard', messageId]))}`

const hidden = 'Start the relay with --dashboard payload to see it here, or use the command show --payload.'

function headers({ headers: all, tooLarge }: ShownMessage, payload: boolean): Html {
  if (tooLarge) return html`<p class="note">Too large for this page.</p>`
  const names = Object.keys(all ?? {})
  if (names.length === 0) return html`<p class="note">None.</p>`
  const one = (name: string) =>
    html`<dt>${cut(name, nameLength)}</dt><dd>${payload ? cut(String(all![name]), 1_000) : 'hidden'}</dd>`
  return html`<dl class="facts">${names.slice(0, mostHeaders).map(one)}</dl>
${names.length > mostHeaders && html`<p class="note">… and ${names.length - mostHeaders} more.</p>`}
${!payload && html`<p class="note">Values are hidden. ${hidden}</p>`}`
}

function payloadOf({ value, tooLarge }: ShownMessage, payload: boolean): Html {
  if (!payload) return html`<p class="note">Hidden. ${hidden}</p>`
  if (tooLarge) return html`<p class="note">Too large for this page.</p>`
  if (value === null) return html`<p class="note">None: a tombstone.</p>`
  const text = payloadText(Buffer.from(value))
  return html`<pre tabindex="0" role="region" aria-label="Payload">${cut(text, mostText)}</pre>
${text.length > mostText && html`<p class="note">Only its beginning.</p>`}`
}

/** JSON with its lines, other text as it is, and bytes that are no text in hexadecimal. */
function payloadText(value: Buffer): string {
  const text = value.toString()
  if (!Buffer.from(text).equals(value)) return `0x${value.toString('hex')}`
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}
