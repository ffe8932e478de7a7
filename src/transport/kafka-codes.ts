/** Which answer of a broker an error code comes from: that decides what it proves. */
export type Source =
  /** Only the answer to this very request: nothing of it was written, whatever else happened. */
  | 'produce'
  /** Also the answer to a metadata request, which kafkajs makes for all topics of its producer at once. */
  | 'metadata'
  /** The login, which kafkajs repeats inside `send` when a connection broke. */
  | 'login'

/** What a code proves, and whose fault it is. */
export interface Meaning {
  scope: 'record' | 'topic' | 'producer' | 'transient'
  source: Source
}

/**
 * Kafka's error codes that can prove "not written" (research: measured on Kafka 4.1.1, and the protocol's error table). Codes that are
 * not here prove nothing: a leader that lost its role (5, 6, 74, 75) may have appended, a time-out (7, 20) says so itself.
 */
export const meanings: Readonly<Record<string, Meaning>> = Object.freeze({
  MESSAGE_TOO_LARGE: { scope: 'record', source: 'produce' },
  RECORD_LIST_TOO_LARGE: { scope: 'record', source: 'produce' },
  INVALID_RECORD: { scope: 'record', source: 'produce' },
  // The client's own clock makes the timestamp, so no message is at fault.
  INVALID_TIMESTAMP: { scope: 'producer', source: 'produce' },
  // The setting of the relay, and brokers that do not take it.
  UNSUPPORTED_COMPRESSION_TYPE: { scope: 'producer', source: 'produce' },
  NOT_ENOUGH_REPLICAS: { scope: 'transient', source: 'produce' },
  POLICY_VIOLATION: { scope: 'topic', source: 'produce' },
  CLUSTER_AUTHORIZATION_FAILED: { scope: 'producer', source: 'produce' },
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: { scope: 'producer', source: 'produce' },
  UNKNOWN_TOPIC_OR_PARTITION: { scope: 'topic', source: 'metadata' },
  TOPIC_AUTHORIZATION_FAILED: { scope: 'topic', source: 'metadata' },
  INVALID_TOPIC_EXCEPTION: { scope: 'topic', source: 'metadata' },
  SASL_AUTHENTICATION_FAILED: { scope: 'producer', source: 'login' },
  UNSUPPORTED_SASL_MECHANISM: { scope: 'producer', source: 'login' },
  ILLEGAL_SASL_STATE: { scope: 'producer', source: 'login' },
})

/** Codes with which a metadata request for one topic blames that topic. */
export const topicFaults = new Set([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'TOPIC_AUTHORIZATION_FAILED',
  'INVALID_TOPIC_EXCEPTION',
  'LEADER_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'LISTENER_NOT_FOUND',
])

/**
 * Whether a code of Node says that a broker's certificate is not to be trusted: unknown authority, another name, out of its time. With
 * ERR_SSL_ begins what the broker says, of our certificate for example.
 */
export const blamesCertificate = (code: string): boolean => /^(?!ERR_SSL_).*CERT|^UNABLE_TO_VERIFY_LEAF_SIGNATURE$/.test(code)
