import { meanings, topicFaults } from '../kafka-codes.ts'
import { Throttled } from '../quotas.ts'
import type { Outcome } from '../transport.ts'

/** Errors of kafkajs that are answers of a broker, with its code. */
const answers: ReadonlySet<string> = new Set(['KafkaJSProtocolError', 'KafkaJSCreateTopicError'])

/** Errors of kafkajs whose messages name brokers, requests and codes, never data of a record. */
const speaking = new Set([
  ...answers,
  'KafkaJSConnectionError',
  'KafkaJSConnectionClosedError',
  'KafkaJSRequestTimeoutError',
  'KafkaJSBrokerNotFound',
  'KafkaJSMetadataNotLoaded',
  'KafkaJSTopicMetadataNotLoaded',
  'KafkaJSLockTimeout',
  'KafkaJSSASLAuthenticationError',
  'TransportError',
])

/** An error of kafkajs, unwrapped. */
export interface Trouble {
  /** Kafka's name (`MESSAGE_TOO_LARGE`), the system's (`ECONNREFUSED`) or the class of the error. */
  code: string
  /** Says it in words, without data of a record. */
  error: string
  /** Whether a broker answered with that code. */
  protocol: boolean
}

/**
 * What stands behind an error of kafkajs. With `retries: 0` a retriable error arrives as KafkaJSNumberOfRetriesExceeded, others may
 * arrive as KafkaJSNonRetriableError; the real one is the protocol error of the `cause` chain, or its end. Told by name, not by class:
 * an application may hold two copies of kafkajs.
 */
export function trouble(error: unknown): Trouble {
  const inner = innermost(error)
  const protocol = answers.has(inner.name)
  const login = inner.name === 'KafkaJSSASLAuthenticationError'
  const code = protocol ? inner.type : login ? 'SASL_AUTHENTICATION_FAILED' : inner.code
  // A TypeError of Node quotes the value that it refuses.
  const words = speaking.has(inner.name) ? inner.message.replace(/^Connection error: (?=A broker answered)/, '') : ''
  return {
    code: typeof code === 'string' ? code : inner.name,
    error: words || `${inner.name} in the Kafka client`,
    protocol,
  }
}

interface KafkajsError {
  name: string
  message: string
  code?: unknown
  type?: unknown
}

function innermost(error: unknown): KafkajsError {
  let found = error
  for (let depth = 0; depth < 10; depth++) {
    if (!(found instanceof Error)) break
    // Of several topics that could not be created, the first tells.
    const [first] = (found as { errors?: unknown[] }).errors ?? []
    if (!first && (answers.has(found.name) || !(found.cause instanceof Error))) return found
    found = first ?? found.cause
  }
  return found instanceof Error ? found : new Error('not an Error')
}

/**
 * What an error of `producer.send` (retries 0) says about its batch.
 *
 * `sent`: whether the encoder had begun with the batch. Before that no byte of it can be on the wire, so every error proves "not
 * written". After that the error need not be the answer to the request: when a connection breaks, kafkajs reconnects and refreshes
 * metadata inside `send`, and throws what goes wrong *there* instead. So only codes of a produce answer prove "not written"; the codes
 * of {@link mayConcernOtherTopic} want a question more, and a TypeError is a bug of the client, never the fault of a record.
 *
 * @example outcomeOf(MESSAGE_TOO_LARGE, true)  // { kind: 'not-written', scope: 'record', … }
 * @example outcomeOf(ECONNRESET, true)         // { kind: 'unknown', … }
 * @example outcomeOf(ECONNREFUSED, false)      // { kind: 'not-written', scope: 'producer', … }
 */
export function outcomeOf(error: unknown, sent: boolean): Exclude<Outcome, { kind: 'acked' }> {
  const { code, error: words } = trouble(error)
  const meaning = meanings[code]
  const proves = !sent || (meaning && meaning.source !== 'login')
  if (!proves) return { kind: 'unknown', code, error: words }
  return { kind: 'not-written', scope: meaning?.scope ?? 'producer', code, error: words }
}

/** Whether a broker that was asked about one topic blames that topic: missing, forbidden, illegal, or a partition without a leader. */
export const blamesTopic = ({ code, protocol }: Trouble): boolean => protocol && topicFaults.has(code)

/**
 * Whether an error of `producer.send` may be about another topic: kafkajs asks for the metadata of all topics of a producer in one
 * request, and one deleted or leaderless topic fails it for all (tulios/kafkajs#1622, #1759).
 *
 * Once the batch is `sent`, a bare protocol error is the answer to it, for example no right to write to a visible topic. kafkajs wraps only
 * the errors of its own metadata request afterwards, and the codes that it calls retriable.
 */
export function mayConcernOtherTopic(error: unknown, sent: boolean): boolean {
  if (!topicFaults.has(trouble(error).code)) return false
  return !sent || (error as Error).name !== 'KafkaJSProtocolError'
}

/** The quota that kept a batch from being sent, somewhere in the `cause` chain of kafkajs. */
export function throttling(error: unknown): Throttled | undefined {
  let found = error
  for (let depth = 0; depth < 10 && found instanceof Error; depth++, found = found.cause)
    if (found instanceof Throttled) return found
  return undefined
}

/** Whether the producer is as good as before: an acknowledgement, a refusal that only a produce answer can carry, or nothing sent. */
export const leavesProducerSound = (outcome: Outcome): boolean =>
  outcome.kind === 'acked' ||
  (outcome.kind === 'not-written' && (outcome.scope === 'throttled' || meanings[outcome.code]?.source === 'produce'))
