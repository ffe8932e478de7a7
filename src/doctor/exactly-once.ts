import { span } from '../ops/format.ts'
import { producerKeptMs } from '../transport/transport.ts'
import type { DeduplicationFacts } from './questions/try-deduplication.ts'
import { failure, ok, unseen, type Verdict, warning } from './verdict.ts'

const check = 'exactly once'
const why = 'A relay that takes over sends recorded batches again; the broker has to take each once.'

/** Judges whether Kafka keeps what the exactly-once mode needs. */
export function judgeDeduplication({ records, trouble, expirationMs, left }: DeduplicationFacts): Verdict[] {
  const found: Verdict[] = []
  if (records !== null && records > 1) {
    const fix =
      'Use Apache Kafka, or a broker that keeps the state of idempotent producers; or run the relays without --exactly-once.'
    found.push(failure(check, `A record that was sent twice under the same numbers is ${records} times in the log.`, why, fix))
  }
  if (trouble) {
    const fix = 'Run doctor with a login that may create and delete topics whose names begin with outbox-doctor-.'
    found.push(unseen(check, `It could not be tried (${trouble.code}: ${trouble.error}).`, why, fix))
  }
  if (expirationMs !== null && expirationMs < producerKeptMs) {
    const what = `Brokers forget a producer after ${span(expirationMs)} (producer.id.expiration.ms).`
    const risk = `A recorded batch that waits for longer, and less than ${span(producerKeptMs)}, can come twice after an outage.`
    found.push(warning(check, what, risk, 'Set producer.id.expiration.ms of the brokers to its default of 86400000.'))
  }
  if (left !== null) {
    found.push(warning(check, `The topic ${left} of the trial could not be deleted.`, 'It is of no more use.', 'Delete it.'))
  }
  return found.length > 0 ? found : [ok(check, 'A record that was sent twice under the same numbers is once in the log.')]
}

/** The mode is in use, and the trial was not asked for: it makes a topic. */
export const untriedDeduplication = (): Verdict =>
  unseen(check, 'The relays run in the exactly-once mode; the broker was not tried.', why, 'Run doctor --exactly-once.')
