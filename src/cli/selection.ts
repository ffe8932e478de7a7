import { type Command, InvalidArgumentError } from 'commander'
import { ageMs, isMessageId, keyBytes } from '../ops/format.ts'
import { stuckOf } from '../ops/trouble.ts'
import type { ListedMessage, RelayState, Selection } from '../store/operator.ts'
import type { Flags } from './config.ts'
import { keyText, span, table } from './format.ts'

/** Checks a message id on the command line. */
export function messageId(text: string): string {
  if (!isMessageId(text)) throw new InvalidArgumentError('must be a UUID.')
  return text.toLowerCase()
}

/** Checks a count on the command line. */
export function count(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('must be a whole number from 1 on.')
  return Number(text)
}

/** Checks an age on the command line; gives milliseconds. */
export function age(text: string): number {
  const ms = ageMs(text)
  if (ms === undefined) throw new InvalidArgumentError('must be an age such as 90s, 10m, 2h or 7d.')
  return ms
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
  return {
    messageIds: ids.length > 0 ? ids : undefined,
    topic,
    key: key === undefined ? undefined : keyBytes(key),
    reason,
    olderThanMs,
    newerThanMs,
  }
}

function stateText({ state, reason, requestedAction }: ListedMessage): string {
  const notes = [...(state === 'skipped' ? [state] : []), ...(requestedAction === null ? [] : [requestedAction])]
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

/** A message for JSON: keys are bytes. `trouble` is what relays have told of its topic; of a message that does not wait, nothing. */
export const messageJson = (message: ListedMessage, relays: readonly RelayState[] = []): object => ({
  ...message,
  key: message.key === null ? null : Buffer.from(message.key).toString('base64'),
  ...(message.state === 'waiting' ? { trouble: stuckOf(relays).filter(({ topic }) => topic === message.topic) } : {}),
})
