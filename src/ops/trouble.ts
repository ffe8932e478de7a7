import { outboxName, type TableSet } from '../message/tables.ts'
import type { ListedMessage, RelayState } from '../store/operator.ts'
import type { Trouble } from '../store/store.ts'
import { commandLine } from './dashboard/command.ts'
import { inOneLine } from './format.ts'

/** What relays cannot do, in words, with what helps. Every command and page takes its words from here. */
export interface TroubleText {
  /** One sentence. */
  what: string
  /** What to do, in a sentence or two. */
  remedy: string
  /** Command that fixes it, or shows more; undefined if the name of the topic is not fit for a shell. */
  command: string | undefined
}

/** Codes of a partition without a leader that can be reached. */
const leaderless = new Set([
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_FOR_PARTITION',
  'NOT_LEADER_OR_FOLLOWER',
  'LEADER_NOT_FOUND',
  'LISTENER_NOT_FOUND',
])

/** Codes of the system and of the clients for a broker to which no connection comes about. */
const unreachable = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'KafkaJSConnectionError',
  'PLT_KFK_NETWORK',
])

/** Stands in a command where the addresses are not known: a shell fills it in. */
const brokersVariable = '"$KAFKA_BROKERS"'

/** Addresses for `--bootstrap-server`. An address list that is none may hold a password: it is not repeated. */
export function bootstrapServers(brokers: string | readonly string[] | undefined): string {
  const text = typeof brokers === 'string' ? brokers.replaceAll(' ', '') : (brokers ?? []).join(',')
  if (!/^(?:[\w.-]+|\[[\da-f:.]+\]):\d+(?:,(?:[\w.-]+|\[[\da-f:.]+\]):\d+)*$/i.test(text)) return brokersVariable
  // A shell takes brackets for a pattern.
  return text.includes('[') ? `"${text}"` : text
}

/** Says what keeps a topic or partition, and what helps. `servers` as {@link bootstrapServers} gives them. */
export function told({ topic, partition, code }: Trouble, servers: string): TroubleText {
  const name = inOneLine(topic)
  const place = partition === null ? `Topic ${name}` : `Partition ${partition} of ${name}`
  const tool = (program: string, rest: string) =>
    /^[\w.-]+$/.test(topic) ? `${program} --bootstrap-server ${servers} ${rest}` : undefined
  const describe = (more = '') => tool('kafka-topics.sh', `--describe --topic ${topic}${more}`)
  if (code === 'UNKNOWN_TOPIC_OR_PARTITION' && partition === null) {
    const command = tool('kafka-topics.sh', `--create --topic ${topic} --partitions 12`)
    return { what: `${place} does not exist.`, remedy: 'Create it. A relay never does, except with --create-topics.', command }
  }
  if (code === 'TOPIC_AUTHORIZATION_FAILED') {
    const rights = `--add --allow-principal User:<login> --operation Describe --operation Write --topic ${topic}`
    const remedy = 'Grant the login of the relay Describe and Write.'
    return { what: `${place}: the relay may not write to it.`, remedy, command: tool('kafka-acls.sh', rights) }
  }
  if (code === 'NOT_ENOUGH_REPLICAS') {
    const command = describe(' --under-min-isr-partitions')
    return { what: `${place}: not enough replicas.`, remedy: 'Bring the brokers of its replicas back.', command }
  }
  if (leaderless.has(code)) {
    const command = describe(' --unavailable-partitions')
    return { what: `${place}: no leader (${code}).`, remedy: 'Bring the broker that leads it back.', command }
  }
  if (unreachable.has(code)) {
    const remedy = 'Check the network, and the address that this broker advertises: another broker answers.'
    return { what: `${place}: its broker cannot be reached (${code}).`, remedy, command: describe() }
  }
  if (code === 'INVALID_TOPIC_EXCEPTION') {
    return { what: `${place}: Kafka allows no such name.`, remedy: 'Correct the name where it is enqueued.', command: undefined }
  }
  const remedy = 'Remove the cause; the log of the relay says more.'
  return { what: `${place} takes no messages (${inOneLine(code)}).`, remedy, command: describe() }
}

/** Says that a relay has no Kafka. */
export const describeSilent = (relay: Pick<RelayState, 'name'>): TroubleText => ({
  what: `Relay ${inOneLine(relay.name)} is alive, no Kafka: no broker answers it.`,
  remedy: 'Check its network, KAFKA_BROKERS, TLS and login. Relays that reach Kafka take its share.',
  command: undefined,
})

/** Says that another outbox of the database has messages, and no relay. */
export const describeUnrelayed = (one: TableSet): TroubleText => ({
  what: `The table ${inOneLine(outboxName(one))} is another outbox: it has messages, and no relay.`,
  remedy: 'Start a relay for it, or correct the models of the application that writes to it.',
  command: commandLine(['relay'], { '--schema': one.schema, ...(one.prefix && { '--table-prefix': one.prefix }) }),
})

/** State of a relay in a table. */
export const stateOf = ({ alive, withoutKafka }: Pick<RelayState, 'alive' | 'withoutKafka'>): string =>
  withoutKafka ? 'alive, no Kafka' : alive ? 'alive' : 'gone'

/** What the living relays cannot serve, each topic or partition once. One without Kafka blames topics for what it cannot know. */
export function stuckOf(
  relays: readonly Pick<RelayState, 'alive' | 'withoutKafka' | 'trouble'>[],
  own: readonly Trouble[] = [],
): Trouble[] {
  const found = new Map<string, Trouble>()
  const reported = relays.filter(({ alive, withoutKafka }) => alive && !withoutKafka).flatMap(({ trouble }) => trouble)
  for (const one of [...own, ...reported]) {
    const name = `${one.partition ?? ''} ${one.topic}`
    if (!found.has(name)) found.set(name, one)
  }
  return [...found.values()]
}

/** What keeps these messages from Kafka: trouble of their topics, or all relays that are without Kafka. */
export function describeFor(messages: readonly ListedMessage[], relays: readonly RelayState[], servers: string): TroubleText[] {
  const waiting = messages.filter(({ state }) => state === 'waiting')
  const topics = new Set(waiting.map(({ topic }) => topic))
  const owners = new Set(waiting.map(({ claimedBy }) => claimedBy))
  return [
    ...relays.filter(({ name, withoutKafka }) => withoutKafka && owners.has(name)).map(describeSilent),
    ...stuckOf(relays)
      .filter(({ topic }) => topics.has(topic))
      .map((one) => told(one, servers)),
  ]
}

/** The same as lines of text. */
export const troubleLines = (
  all: readonly (Pick<TroubleText, 'what' | 'remedy'> & { command?: string | undefined })[],
): string[] =>
  all.flatMap(({ what, remedy, command }) => [`! ${what}`, `  ${remedy}`, ...(command === undefined ? [] : [`  $ ${command}`])])
