import { type Command, InvalidArgumentError } from 'commander'
import type { ListedMessage, Selection } from '../store/operator.ts'
import type { Flags } from './config.ts'
import { keyText, span, table } from './format.ts'

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Checks a message id on the command line. */
export function messageId(text: string): string {
  if (!uuid.test(text)) throw new InvalidArgumentError('It is not a UUID.')
  return text.toLowerCase()
}

/** Checks a count on the command line. */
export function count(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('It is not a whole number from 1 on.')
  return Number(text)
}

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Checks an age on the command line; gives milliseconds. */
export function age(text: string): number {
  const [, n, unit] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? []
  if (n === undefined) throw new InvalidArgumentError('It is not an age such as 90s, 10m, 2h or 7d.')
  return Number(n) * unitMs[unit as keyof typeof unitMs]
}

/** Adds the flags that choose messages by topic, key and age. */
export function addFilterFlags(command: Command): Command {
  return command
    .option('--topic <topic>', 'Only of this topic')
    .option('--key <key>', 'Only of this key, as text, or 0x… for bytes')
    .option('--older-than <age>', 'Only those enqueued longer ago: 90s, 10m, 2h, 7d', age)
    .option('--newer-than <age>', 'Only those enqueued since then', age)
}

/** What the flags choose. */
export function selectionOf(flags: Flags, ids: readonly string[] = []): Selection {
  const { topic, key, reason } = flags as { topic?: string; key?: string; reason?: string }
  const { olderThan: olderThanMs, newerThan: newerThanMs } = flags as { olderThan?: number; newerThan?: number }
  const bytes =
    key === undefined ? undefined : /^0x([0-9a-f]{2})*$/i.test(key) ? Buffer.from(key.slice(2), 'hex') : Buffer.from(key)
  return { messageIds: ids.length > 0 ? ids : undefined, topic, key: bytes, reason, olderThanMs, newerThanMs }
}

function stateText({ state, reason, wish }: ListedMessage): string {
  const notes = [...(state === 'skipped' ? [state] : []), ...(wish === null ? [] : [wish])]
  return `${reason ?? state}${notes.length === 0 ? '' : ` (${notes.join(', ')})`}`
}

/** Messages as a table; never their payloads. */
export function messagesText(messages: readonly ListedMessage[]): string {
  const rows = messages.map((message) => [
    message.messageId,
    stateText(message),
    message.topic,
    keyText(message.key),
    span(message.ageMs),
    message.claimedBy === null ? 'nobody' : `${message.claimedBy} for ${span(message.claimedForMs ?? 0)}`,
  ])
  return table(['Message', 'State', 'Topic', 'Key', 'Age', 'Claimed by'], rows)
}

/** A message for JSON: keys are bytes. */
export const messageJson = (message: ListedMessage): object => ({
  ...message,
  key: message.key === null ? null : Buffer.from(message.key).toString('base64'),
})
