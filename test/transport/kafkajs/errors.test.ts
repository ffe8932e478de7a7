import { KafkaJSConnectionError, KafkaJSNonRetriableError, KafkaJSNumberOfRetriesExceeded, KafkaJSProtocolError } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { type History, verdict } from '../../../src/relay/publish/verdict.ts'
import { leavesProducerSound, mayConcernOtherTopic, outcomeOf, trouble } from '../../../src/transport/kafkajs/errors.ts'

const protocol = (type: string, code: number) =>
  new KafkaJSProtocolError({ type, code, message: `says ${type}`, retriable: false } as never)
const retried = (error: Error) => new KafkaJSNumberOfRetriesExceeded(error, { retryCount: 0, retryTime: 0 } as never)
const connection = (code: string) => new KafkaJSConnectionError(`connect ${code}`, { code })

/** Codes, by kafkajs's names, that prove nothing about a batch on its way. */
const unclear: [type: string, code: number][] = [
  ['CORRUPT_MESSAGE', 2],
  ['REPLICA_NOT_AVAILABLE', 9],
  ['NETWORK_EXCEPTION', 13],
  ['GROUP_LOAD_IN_PROGRESS', 14],
  ['GROUP_COORDINATOR_NOT_AVAILABLE', 15],
  ['NOT_COORDINATOR_FOR_GROUP', 16],
  ['INVALID_REQUIRED_ACKS', 21],
  ['UNSUPPORTED_VERSION', 35],
  ['INVALID_REQUEST', 42],
  ['UNSUPPORTED_FOR_MESSAGE_FORMAT', 43],
  ['OUT_OF_ORDER_SEQUENCE_NUMBER', 45],
  ['DUPLICATE_SEQUENCE_NUMBER', 46],
  ['INVALID_PRODUCER_EPOCH', 47],
  ['INVALID_TXN_STATE', 48],
  ['INVALID_PRODUCER_ID_MAPPING', 49],
  ['CONCURRENT_TRANSACTIONS', 51],
  ['TRANSACTION_COORDINATOR_FENCED', 52],
  ['KAFKA_STORAGE_ERROR', 56],
  ['UNKNOWN_PRODUCER_ID', 59],
  ['FENCED_LEADER_EPOCH', 74],
  ['UNKNOWN_LEADER_EPOCH', 75],
]

/** What a broker or the client says → what it means before and after the encoder has begun with the batch. */
const table: [error: Error, code: string, unsent: string, sent: string][] = [
  [protocol('MESSAGE_TOO_LARGE', 10), 'MESSAGE_TOO_LARGE', 'record', 'record'],
  [protocol('RECORD_LIST_TOO_LARGE', 18), 'RECORD_LIST_TOO_LARGE', 'record', 'record'],
  [protocol('INVALID_RECORD', 87), 'INVALID_RECORD', 'record', 'record'],
  [protocol('INVALID_TIMESTAMP', 32), 'INVALID_TIMESTAMP', 'producer', 'producer'],
  [protocol('UNKNOWN_TOPIC_OR_PARTITION', 3), 'UNKNOWN_TOPIC_OR_PARTITION', 'topic', 'topic'],
  [protocol('INVALID_TOPIC_EXCEPTION', 17), 'INVALID_TOPIC_EXCEPTION', 'topic', 'topic'],
  [protocol('TOPIC_AUTHORIZATION_FAILED', 29), 'TOPIC_AUTHORIZATION_FAILED', 'topic', 'topic'],
  [protocol('POLICY_VIOLATION', 44), 'POLICY_VIOLATION', 'topic', 'topic'],
  [protocol('UNSUPPORTED_COMPRESSION_TYPE', 76), 'UNSUPPORTED_COMPRESSION_TYPE', 'producer', 'producer'],
  [protocol('CLUSTER_AUTHORIZATION_FAILED', 31), 'CLUSTER_AUTHORIZATION_FAILED', 'producer', 'producer'],
  [protocol('TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 53), 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'producer', 'producer'],
  [protocol('SASL_AUTHENTICATION_FAILED', 58), 'SASL_AUTHENTICATION_FAILED', 'producer', 'unknown'],
  [protocol('UNSUPPORTED_SASL_MECHANISM', 33), 'UNSUPPORTED_SASL_MECHANISM', 'producer', 'unknown'],
  [protocol('ILLEGAL_SASL_STATE', 34), 'ILLEGAL_SASL_STATE', 'producer', 'unknown'],
  [protocol('NOT_ENOUGH_REPLICAS', 19), 'NOT_ENOUGH_REPLICAS', 'transient', 'transient'],
  [protocol('NOT_ENOUGH_REPLICAS_AFTER_APPEND', 20), 'NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'producer', 'unknown'],
  [protocol('NOT_LEADER_FOR_PARTITION', 6), 'NOT_LEADER_FOR_PARTITION', 'producer', 'unknown'],
  [protocol('LEADER_NOT_AVAILABLE', 5), 'LEADER_NOT_AVAILABLE', 'producer', 'unknown'],
  [protocol('REQUEST_TIMED_OUT', 7), 'REQUEST_TIMED_OUT', 'producer', 'unknown'],
  ...unclear.map(([type, code]): [Error, string, string, string] => [protocol(type, code), type, 'producer', 'unknown']),
  [protocol('KAFKAJS_UNKNOWN_ERROR_CODE', -99), 'KAFKAJS_UNKNOWN_ERROR_CODE', 'producer', 'unknown'],
  [connection('ECONNRESET'), 'ECONNRESET', 'producer', 'unknown'],
  [connection('ECONNREFUSED'), 'ECONNREFUSED', 'producer', 'unknown'],
  [new KafkaJSNonRetriableError('Invalid state'), 'KafkaJSNonRetriableError', 'producer', 'unknown'],
  [new TypeError("Cannot read properties of undefined (reading 'nodeId')"), 'TypeError', 'producer', 'unknown'],
]

const meaning = (error: Error, sent: boolean) => {
  const outcome = outcomeOf(error, sent)
  return outcome.kind === 'not-written' ? outcome.scope : outcome.kind
}

describe('what an error of kafkajs proves', () => {
  it.each(table)('%s', (error, code, unsent, sent) => {
    for (const wrapped of [error, retried(error), Object.assign(new KafkaJSNonRetriableError('wrapped'), { cause: error })]) {
      expect(trouble(wrapped).code).toBe(code)
      expect([meaning(wrapped, false), meaning(wrapped, true)]).toEqual([unsent, sent])
    }
  })

  it.each([
    ['one topic', ['CLUSTER_AUTHORIZATION_FAILED'], 'CLUSTER_AUTHORIZATION_FAILED'],
    ['the first of two', ['INVALID_TOPIC_EXCEPTION', 'POLICY_VIOLATION'], 'INVALID_TOPIC_EXCEPTION'],
    ['none', [], 'KafkaJSAggregateError'],
  ])('has the code of a topic that could not be created: %s', (_, types, code) => {
    const errors = types.map((type) => Object.assign(new Error('no'), { name: 'KafkaJSCreateTopicError', type }))
    const all = Object.assign(new Error('Topic creation errors'), { name: 'KafkaJSAggregateError', errors })
    expect(trouble(all)).toMatchObject({ code, protocol: types.length > 0 })
  })

  it('never quotes what may be data of a record', () => {
    const quoting = new TypeError("The value must be a string. Received 'secret'")
    const dumping = new KafkaJSNonRetriableError('Invalid message without value: {"key":"secret"}')
    for (const error of [quoting, retried(quoting), dumping])
      expect(JSON.stringify(outcomeOf(error, true))).not.toContain('secret')
  })

  it('keeps the producer only after answers that cannot come from anywhere but the produce request', () => {
    const kept = table.filter(([error]) => leavesProducerSound(outcomeOf(error, true))).map(([, code]) => code)
    expect(kept.sort()).toEqual([
      'CLUSTER_AUTHORIZATION_FAILED',
      'INVALID_RECORD',
      'INVALID_TIMESTAMP',
      'MESSAGE_TOO_LARGE',
      'NOT_ENOUGH_REPLICAS',
      'POLICY_VIOLATION',
      'RECORD_LIST_TOO_LARGE',
      'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
      'UNSUPPORTED_COMPRESSION_TYPE',
    ])
  })

  it('knows the codes that a metadata request for several topics gives because of any of them', () => {
    const shared = table.filter(([error]) => mayConcernOtherTopic(error, false)).map(([, code]) => code)
    const names = [
      'UNKNOWN_TOPIC_OR_PARTITION',
      'INVALID_TOPIC_EXCEPTION',
      'TOPIC_AUTHORIZATION_FAILED',
      'LEADER_NOT_AVAILABLE',
      'REPLICA_NOT_AVAILABLE',
    ]
    expect(shared).toEqual(names)
  })

  it('takes a bare error of a batch that was sent for the answer to it', () => {
    const error = protocol('TOPIC_AUTHORIZATION_FAILED', 29)
    const wrapped = Object.assign(new KafkaJSNonRetriableError('wrapped'), { cause: error })
    expect([mayConcernOtherTopic(error, true), mayConcernOtherTopic(wrapped, true)]).toEqual([false, true])
  })
})

describe('what the relay does about it, one record alone and five keys refused before', () => {
  const decided = (error: Error, sent: boolean, history: History) => {
    const next = verdict(outcomeOf(error, sent), history)
    return next.kind === 'again' ? (next.doubt ? 'again, ask Kafka' : 'again') : next.kind
  }
  const expected: Record<string, [alone: string, several: string, afterFive: string]> = {
    record: ['dead-letter', 'split', 'pause-topic'],
    topic: ['pause-topic', 'pause-topic', 'pause-topic'],
    producer: ['again, ask Kafka', 'again, ask Kafka', 'again, ask Kafka'],
    transient: ['again', 'again', 'again'],
    unknown: ['again, ask Kafka', 'again, ask Kafka', 'again, ask Kafka'],
  }

  it.each(table)('%s', (error, _, unsent, sent) => {
    for (const [meant, wasSent] of [
      [unsent, false],
      [sent, true],
    ] as const) {
      expect([
        decided(error, wasSent, { records: 1, numbered: false, refusedKeys: 0 }),
        decided(error, wasSent, { records: 9, numbered: false, refusedKeys: 5 }),
        decided(error, wasSent, { records: 1, numbered: false, refusedKeys: 5 }),
      ]).toEqual(expected[meant])
    }
  })
})
