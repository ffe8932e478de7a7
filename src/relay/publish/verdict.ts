// Keeps rule 4 of docs/protocol.md.

import type { Failure } from './patience.ts'

/** What the lane has seen before this outcome. */
export interface History {
  /** Records in the batch. */
  records: number
  /** Whether the batch has numbers. */
  numbered: boolean
  /** Keys of the topic refused in a row with this same code and none accepted since. */
  refusedKeys: number
}

/** What to do about a batch that was not acknowledged. */
export type Verdict =
  /** Send the same batch again when the broker reads again: it enforces a quota, and nobody is in trouble. */
  | { kind: 'wait'; ms: number }
  /** Send the same batch again after a back-off. `doubt`: Kafka as a whole may be in trouble; ask it before sending more. */
  | { kind: 'again'; doubt: boolean }
  /** The partition does not know the numbers of the batch: send it under new ones. It may become a copy, and is never lost. */
  | { kind: 'renumber' }
  /** One of the records is at fault: send fewer at a time until it stands alone. */
  | { kind: 'split' }
  /** Kafka named those at fault: decide each in its turn, without sending it again, and send the others. */
  | { kind: 'single-out'; refused: readonly number[] }
  /** This one record is refused for good. */
  | { kind: 'dead-letter' }
  /** The topic cannot take messages: stop it, and let the others go on. */
  | { kind: 'pause-topic' }

/** After so many keys of a topic refused in a row with one code, the topic is at fault and not the messages. */
export const refusedKeysLimit = 5

/**
 * A partition answers so when it does not know the producer, or not its last batch: it lost acknowledged records, or forgot the producer.
 * DUPLICATE_SEQUENCE_NUMBER comes without an offset, so it is no acknowledgement.
 */
const sequenceLost = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'DUPLICATE_SEQUENCE_NUMBER',
  'INVALID_PRODUCER_EPOCH',
  'UNKNOWN_PRODUCER_ID',
])

/** Decides what becomes of a batch that was not acknowledged. Only a refusal that names a record fault, of a batch of one, ever counts against a message. */
export function verdict(outcome: Failure, history: History): Verdict {
  if (outcome.kind === 'unknown') {
    return history.numbered && sequenceLost.has(outcome.code) ? { kind: 'renumber' } : { kind: 'again', doubt: true }
  }
  switch (outcome.scope) {
    case 'record':
      if (history.records > 1) {
        const refused = outcome.refused?.filter((index) => index >= 0 && index < history.records) ?? []
        return refused.length > 0 ? { kind: 'single-out', refused } : { kind: 'split' }
      }
      return history.refusedKeys >= refusedKeysLimit ? { kind: 'pause-topic' } : { kind: 'dead-letter' }
    case 'topic':
      return { kind: 'pause-topic' }
    case 'producer':
      return { kind: 'again', doubt: true }
    case 'throttled':
      return { kind: 'wait', ms: outcome.waitMs }
    case 'transient':
      return { kind: 'again', doubt: false }
  }
}
