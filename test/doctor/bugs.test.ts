import { expect, inject, test } from 'vitest'
import { examineCluster } from '../../src/doctor/questions/examine-cluster.ts'
import { tryDeduplication } from '../../src/doctor/questions/try-deduplication.ts'
import { testKafka } from '../support/topics.ts'

// A bug that is told as trouble of Kafka would send an operator to the brokers.

test('a bug while Kafka is asked about topics is no trouble of Kafka', async () => {
  await expect(examineCluster({ brokers: [inject('brokers')] }, null as never)).rejects.toThrow(TypeError)
})

test('a bug while the brokers are tried is no trouble of Kafka, and leaves no topic', async () => {
  let reads = 0
  const options = {
    brokers: [inject('brokers')],
    // Read for the admin client, and then for the transport.
    get clientId(): string {
      if (++reads > 1) throw new TypeError('not a name')
      return 'doctor'
    },
  }
  await expect(tryDeduplication(options)).rejects.toThrow('not a name')
  const admin = testKafka(inject('brokers')).admin()
  await admin.connect()
  const topics = () => admin.listTopics().then((names) => names.filter((name) => name.startsWith('outbox-doctor-')))
  await expect.poll(topics, { timeout: 30_000 }).toEqual([])
  await admin.disconnect()
})
