import type { Dump } from '../../src/proof/history.ts'
import { kafkaTool } from '../support/kafka.ts'

/** Records of the sample, at most. */
const sampleSize = 5_000

/**
 * Reads a partition with Kafka's own console consumer and compares ids and offsets with the dump, so that our reading is not the only
 * judge. Gives what differs, or undefined.
 */
export async function askThirdParty(
  brokers: string,
  dump: Dump,
  topics: readonly string[],
  random: () => number,
): Promise<string | undefined> {
  const sampled = dump.records.filter(({ topic }) => topics.includes(topic))
  const drawn = sampled[Math.floor(random() * sampled.length)]
  if (!drawn) return 'the topics hold no record'
  const ours = sampled
    .filter(({ topic, partition }) => topic === drawn.topic && partition === drawn.partition)
    .slice(0, sampleSize)
    .map(({ offset, id }) => `${offset} ${id}`)
  const shown = ['print.offset=true', 'print.headers=true', 'print.value=false'].flatMap((one) => ['--property', one])
  const where = ['--topic', drawn.topic, '--partition', `${drawn.partition}`, '--offset', '0', '--max-messages', `${ours.length}`]
  const text = await kafkaTool('org.apache.kafka.tools.consumer.ConsoleConsumer', [
    '--bootstrap-server',
    brokers,
    ...where,
    '--timeout-ms',
    '30000',
    ...shown,
  ])
  const theirs = text
    .split('\n')
    .filter((line) => line.startsWith('Offset:'))
    .map((line) => `${/^Offset:(\d+)/.exec(line)![1]} ${/(?:^|[\t,])id:([0-9a-f-]{36})/.exec(line)?.[1]}`)
  const differs = ours.findIndex((line, i) => line !== theirs[i])
  if (differs < 0 && theirs.length === ours.length) return undefined
  return `Kafka's console consumer reads ${theirs[differs]} at place ${differs} of ${drawn.topic}/${drawn.partition}, not ${ours[differs]}`
}
