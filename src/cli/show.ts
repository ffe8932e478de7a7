import { Command } from 'commander'
import { OutboxError } from '../message/errors.ts'
import { describeFor, troubleLines } from '../ops/trouble.ts'
import type { RelayState, ShownMessage } from '../store/operator.ts'
import { type Flags, serversOf } from './config.ts'
import { fields, keyText, span } from './format.ts'
import { prismaHelp } from './help.ts'
import { withOperator } from './operator.ts'
import { print, printJson } from './print.ts'
import { messageId, messageJson } from './selection.ts'
import { addDatabaseFlags } from './settings.ts'

/** The command `show`. */
export function showCommand(): Command {
  const command = new Command('show')
    .description('Show where a message is: waiting and claimed by whom and for how long, or dead and why')
    .argument('<message-id>', 'The id that enqueue returned, and the Kafka header `id`', messageId)
    .option('--payload', 'With header values and payload, up to 16 MiB')
    .option('--json', 'As JSON: spans in milliseconds, key and payload in base64')
  addDatabaseFlags(command).action((id: string, flags: Flags) =>
    withOperator(flags, async (operator) => {
      const message = await operator.show(id, flags.payload === true)
      if (message === null) {
        throw new OutboxError('NOT_FOUND', 'No such message is in the outbox.', {
          field: 'message-id',
          remedy: 'It was published or discarded, or its transaction rolled back; its topic tells which.',
        })
      }
      const relays = await operator.relays()
      const withPayload = flags.payload === true
      if (flags.json === true) return printJson(shownJson(message, withPayload, relays))
      const trouble = troubleLines(describeFor([message], relays, serversOf(flags, process.env)))
      print([shownText(message, withPayload), ...trouble].join('\n'))
    }),
  )
  return prismaHelp(command, [['One message', '0197f3a0-0000-7000-8000-000000000001']])
}

function shownText(message: ShownMessage, withPayload: boolean): string {
  const names = Object.keys(message.headers ?? {})
  return fields([
    ['Message', message.messageId],
    ['State', stateText(message)],
    ['Topic', message.topic],
    ['Type', message.type ?? undefined],
    ['Key', keyText(message.key, 200)],
    ['Position', `bucket ${message.bucket}, id ${message.id}`],
    ['Age', span(message.ageMs)],
    ['Size', message.bytes === null ? undefined : `${message.bytes} bytes`],
    [
      'Claimed by',
      message.claimedBy === null
        ? 'nobody'
        : `${message.claimedBy} until ${message.claimedUntil} (for ${span(message.claimedForMs ?? 0)})`,
    ],
    ['Reason', message.reason === null ? undefined : `${message.reason}: ${message.error}`],
    [
      'Requested',
      message.requestedAction === null
        ? undefined
        : `${message.requestedAction}${message.requestedBy === null ? '' : ` by ${message.requestedBy}`}`,
    ],
    ['Headers', names.length === 0 ? undefined : withPayload ? JSON.stringify(message.headers) : names.join(', ')],
    ['Payload', withPayload ? payloadText(message) : undefined],
  ])
}

function payloadText({ tooLarge, value }: ShownMessage): string {
  if (tooLarge) return '(too large to show)'
  return value === null ? '(tombstone)' : Buffer.from(value).toString()
}

function stateText(message: ShownMessage): string {
  if (message.state === 'waiting') return 'waiting for Kafka'
  if (message.state === 'blocked') return 'waits behind a dead message of its key'
  if (message.state === 'skipped') return 'dead; its key went on'
  return message.blocked > 0 ? `dead; ${message.blocked} wait behind it` : 'dead'
}

function shownJson(message: ShownMessage, withPayload: boolean, relays: readonly RelayState[]): object {
  const { headers, value, ...rest } = message
  const payload = { headers, value: value === null ? null : Buffer.from(value).toString('base64') }
  return { ...messageJson(rest as ShownMessage, relays), ...(withPayload ? payload : { headers: Object.keys(headers ?? {}) }) }
}
