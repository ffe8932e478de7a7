import { OutboxError } from '../message/errors.ts'

/** Refuses brokers that are no addresses. Throws OUTBOX_INVALID_OPTION. */
export function checkBrokers(brokers: readonly string[]): void {
  const broken = brokers.find((broker) => !/^[^\s:]+:\d+$/.test(broker))
  if (brokers.length > 0 && broken === undefined) return
  const what = broken === undefined ? 'No Kafka broker is given.' : `"${broken}" is not the address of a Kafka broker.`
  throw new OutboxError('INVALID_OPTION', what, { field: 'brokers', remedy: 'Give at least one as "host:port".' })
}
