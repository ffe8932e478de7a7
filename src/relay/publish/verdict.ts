// Keeps rule 4 of docs/protocol.md.

import type { Outcome } from '../../transport/transport.ts'

/** What the lane has seen before this outcome. */
export interface History {
  /** Records in the batch. */
  records: number
  /** Keys of the topic refused in a row with this same code and none accepted since. */
  refusedKeys: number
}

/** What to do about a batch. */
export type Verdict =
  /** It is in the log: delete the rows. */
  | { kind: 'settled' }
  /** Send the same batch again when the broker reads again: it enforces a quota, and nobody is in trouble. */
  | { kind: 'wait'; ms: number }
  /** Send the same batch again after a back-off. `doubt`: Kafka as a whole may be in trouble; ask it before sending more. */
  | { kind: 'again'; doubt: boolean }
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

/** Decides what becomes of a batch. Only a refusal that names a record fault, of a batch of one, ever counts against a message. */
export function verdict(outcome: Outcome, history: History): Verdict {
  if (outcome.kind === 'acked') return { kind: 'settled' }
  if (outcome.kind === 'unknown') return { kind: 'again', doubt: true }
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
