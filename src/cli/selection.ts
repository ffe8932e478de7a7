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

/** Adds the flags that choose messages by topic and key. */
export function addFilterFlags(command: Command): Command {
  return command
    .option('--topic <topic>', 'Only of this topic')
    .option('--key <key>', 'Only of this key, as text, or 0x… for bytes')
}

/** What the flags choose. */
export function selectionOf(flags: Flags, ids: readonly string[] = []): Selection {
  const { topic, key, reason } = flags as { topic?: string; key?: string; reason?: string }
  const bytes =
    key === undefined ? undefined : /^0x([0-9a-f]{2})*$/i.test(key) ? Buffer.from(key.slice(2), 'hex') : Buffer.from(key)
  return { messageIds: ids.length > 0 ? ids : undefined, topic, key: bytes, reason }
}

/** Messages as a table; never their payloads. */
export function messagesText(messages: readonly ListedMessage[]): string {
  const rows = messages.map((message) => [
    message.messageId,
    message.wish === null ? (message.reason ?? message.state) : `${message.reason ?? message.state} (${message.wish})`,
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
