import { KafkaJSConnectionError, KafkaJSNonRetriableError, KafkaJSNumberOfRetriesExceeded, KafkaJSProtocolError } from 'kafkajs'
import { describe, expect, it } from 'vitest'
import { leavesProducerSound, mayConcernOtherTopic, outcomeOf, trouble } from '../../src/transport/kafkajs-errors.ts'

const protocol = (type: string, code: number) =>
  new KafkaJSProtocolError({ type, code, message: `says ${type}`, retriable: false } as never)
const retried = (error: Error) => new KafkaJSNumberOfRetriesExceeded(error, { retryCount: 0, retryTime: 0 } as never)
const connection = (code: string) => new KafkaJSConnectionError(`connect ${code}`, { code })

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
    ])
  })

  it('knows the codes that a metadata request for several topics gives because of any of them', () => {
    const shared = table.filter(([error]) => mayConcernOtherTopic(error, false)).map(([, code]) => code)
    const names = ['UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_TOPIC_EXCEPTION', 'TOPIC_AUTHORIZATION_FAILED', 'LEADER_NOT_AVAILABLE']
    expect(shared).toEqual(names)
  })

  it('takes a bare error of a batch that was sent for the answer to it', () => {
    const error = protocol('TOPIC_AUTHORIZATION_FAILED', 29)
    const wrapped = Object.assign(new KafkaJSNonRetriableError('wrapped'), { cause: error })
    expect([mayConcernOtherTopic(error, true), mayConcernOtherTopic(wrapped, true)]).toEqual([false, true])
  })
})
