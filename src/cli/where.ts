import { Command } from 'commander'
import { OutboxError } from '../message/errors.ts'
import { createdAtOf } from '../message/id.ts'
import { keyBytes } from '../ops/format.ts'
import { describeFor, troubleLines } from '../ops/trouble.ts'
import type { ListedMessage, Operator, RelayState, ShownMessage } from '../store/operator.ts'
import { checkLogin } from '../transport/brokers.ts'
import { type FoundRecord, findRecord, type RecordSearch, type RecordSearched } from '../transport/kafkajs/find-record.ts'
import { type Flags, kafkaConfigOf, serversOf } from './config.ts'
import { counted, type Field, fields, keyText, span } from './format.ts'
import { prismaHelp } from './help.ts'
import { withOperator } from './operator.ts'
import { print, printJson } from './print.ts'
import { age, count, messageId, messageJson } from './selection.ts'
import { addDatabaseFlags, addKafkaFlags } from './settings.ts'

/** Milliseconds that the clocks of an application and a broker may be apart, before a record is missed that is there. */
const clocksApartMs = 300_000

/** The command `where`. */
export function whereCommand(): Command {
  const command = new Command('where')
    .description(
      'Say where one message is: waiting, dead, or published, and then at which topic, partition and offset, and after how long',
    )
    .argument('<message-id>', 'The id that enqueue returned, and the Kafka header `id`', messageId)
    .option('--topic <topic>', 'Search for it in this topic, if it is no longer in the outbox')
    .option('--key <key>', 'Read only the partition of this key, as text, or 0x… for bytes')
    .option(
      '--newer-than <age>',
      'Read only what Kafka got since then: 10m, 2h, 7d (default: since the time in the id, less five minutes; without one, everything)',
      age,
    )
    .option('--timeout <seconds>', 'Time to read in Kafka (default: 30)', count)
    .option('--json', 'As JSON, key in base64')
  addKafkaFlags(addDatabaseFlags(command)).action((id: string, flags: Flags) =>
    withOperator(flags, async (operator) => {
      const message = await operator.show(id, false)
      if (message !== null)
        return tell(message, { head: await headOf(operator, message), relays: await operator.relays() }, flags)
      const record = await publishedRecord(id, flags)
      return flags.json === true ? printJson(recordJson(id, record)) : print(recordText(id, record))
    }),
  )
  return prismaHelp(command, [
    ['One that waits, or is dead', '0197f3a0-0000-7000-8000-000000000001'],
    ['One that may be published', '0197f3a0-0000-7000-8000-000000000001 --topic order_placed --key 42'],
  ])
}

/** The dead message that it waits behind. */
async function headOf(operator: Operator, { state, topic, key, id }: ShownMessage): Promise<ListedMessage | null> {
  if (state !== 'blocked' || key === null) return null
  const ofKey = await operator.list({ topic, key, dead: true, limit: 1_000 })
  return ofKey.findLast((one) => one.state === 'dead' && one.id < id) ?? null
}

/** Says where a message is that is still in the outbox, and what keeps it there. */
function tell(message: ShownMessage, found: { head: ListedMessage | null; relays: readonly RelayState[] }, flags: Flags): void {
  const { headers: _, value: __, ...rest } = message
  const { head, relays } = found
  if (flags.json === true) {
    printJson({ ...messageJson(rest as ShownMessage, relays), blockedBy: head?.messageId ?? null })
    return
  }
  const text = fields([['Message', message.messageId], ...(message.state === 'waiting' ? waiting(message) : dead(message, head))])
  print([text, ...troubleLines(describeFor([message], relays, serversOf(flags, process.env)))].join('\n'))
}

function waiting(message: ShownMessage): Field[] {
  const { claimedBy, claimedUntil, claimedForMs, bucket, topic, key, ageMs } = message
  const claim = `${claimedBy} until ${claimedUntil} (for ${span(claimedForMs ?? 0)})`
  return [
    ['State', `waits for Kafka, for ${span(ageMs)}`],
    ['Topic', topic],
    ['Key', keyText(key, 200)],
    ['Claimed by', claimedBy === null ? `nobody: no relay holds bucket ${bucket}` : claim],
  ]
}

function dead(message: ShownMessage, head: ListedMessage | null): Field[] {
  const { state, reason, error, blocked, diedAt, diedBy, topic, key } = message
  const first = head === null ? '' : ` ${head.messageId} (${head.reason})`
  const others = blocked === 0 ? '' : `; ${counted(blocked, 'message')} of its key behind it`
  return [
    ['State', state === 'blocked' ? `waits behind the dead message${first}` : `dead${others}`],
    ['Topic', topic],
    ['Key', keyText(key, 200)],
    ['Reason', reason === null ? undefined : `${reason}: ${error}`],
    ['Since', `${diedAt}, by ${diedBy}`],
    ['Next', `fix the cause, then: redrive ${head?.messageId ?? message.messageId}`],
  ]
}

/** Finds the record in Kafka, or says what was looked at. Throws NOT_FOUND, INVALID_OPTION, KAFKA_REFUSED. */
async function publishedRecord(id: string, flags: Flags): Promise<FoundRecord> {
  const { topic, key, newerThan, timeout } = flags as { topic?: string; key?: string; newerThan?: number; timeout?: number }
  const nowhere = 'It is not in the outbox: published, discarded, rolled back, or never there.'
  if (topic === undefined) {
    throw new OutboxError('NOT_FOUND', nowhere, { field: 'message-id', remedy: 'Give --topic, to search for it in Kafka.' })
  }
  const kafka = kafkaConfigOf(flags, process.env)
  checkLogin(kafka)
  const search: RecordSearch = {
    topic,
    messageIds: [id],
    key: key === undefined ? undefined : keyBytes(key),
    sinceMs: newerThan === undefined ? Math.max(0, (createdAtOf(id) ?? 0) - clocksApartMs) : Date.now() - newerThan,
    timeoutMs: (timeout ?? 30) * 1_000,
  }
  const searched = await findRecord(kafka, search)
  if (searched.record !== null) return searched.record
  throw new OutboxError('NOT_FOUND', `It is not in the outbox. ${unsuccessful(search, searched)}`, {
    field: 'message-id',
    remedy: advice(search, searched),
  })
}

/** What was looked at in vain. */
export function unsuccessful({ topic, sinceMs, timeoutMs }: RecordSearch, { read, partitions, unread }: RecordSearched): string {
  const since = sinceMs === 0 ? '' : ` since ${new Date(sinceMs).toISOString()}`
  if (unread === 0) return `Nor is it among the ${counted(read, 'record')} of ${topic}${since}.`
  return `In ${span(timeoutMs)} ${counted(read, 'record')} of ${topic}${since} were read and it was not among them; ${unread} of ${counted(partitions, 'partition')} not to the end.`
}

/** What may still find it. */
export function advice({ key, sinceMs }: RecordSearch, { unread }: RecordSearched): string {
  if (unread > 0) return 'Give a longer --timeout, a --newer-than, or --key to read one partition only.'
  if (key !== undefined)
    return 'Leave --key out, where the number of partitions has changed since, or keyless messages are spread.'
  const later = sinceMs === 0 ? '' : ' Where the clocks of application and broker differ, give --newer-than.'
  return `It was discarded, rolled back, is of another topic, or Kafka has removed it by now.${later}`
}

/** Milliseconds from the enqueue, by the database's clock, to the record's timestamp; null where a header does not tell. */
function tookMs({ headers, timestamp }: FoundRecord): number | null {
  const created = Date.parse(headers['created-at'] ?? '')
  return Number.isNaN(created) ? null : timestamp - created
}

function recordText(id: string, record: FoundRecord): string {
  const took = tookMs(record)
  return fields([
    ['Message', id],
    ['State', 'published'],
    ['Position', `${record.topic}[${record.partition}]@${record.offset}`],
    ['Key', keyText(record.key, 200)],
    ['Enqueued', record.headers['created-at']],
    ['Published', new Date(record.timestamp).toISOString()],
    ['Took', took === null ? undefined : span(took)],
  ])
}

function recordJson(id: string, record: FoundRecord): object {
  const { topic, partition, offset, timestamp, key, headers } = record
  return {
    messageId: id,
    state: 'published',
    topic,
    partition,
    offset,
    key: key === null ? null : Buffer.from(key).toString('base64'),
    createdAt: headers['created-at'] ?? null,
    publishedAt: new Date(timestamp).toISOString(),
    tookMs: tookMs(record),
  }
}
