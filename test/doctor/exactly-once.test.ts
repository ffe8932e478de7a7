import kafkajs from 'kafkajs'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { judgeDeduplication } from '../../src/doctor/exactly-once.ts'
import { useDatabase } from '../support/database.ts'
import { type KafkaServer, startKafka } from '../support/kafka.ts'
import { testKafka } from '../support/topics.ts'
import { diagnose } from './diagnose.ts'

// Not among the names that Node finds in this CommonJS module.
const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs

const database = useDatabase('emptied')
const asked = (brokers: string, more = {}) =>
  diagnose({ DATABASE_URL: database.directUrl, KAFKA_BROKERS: brokers, OUTBOX_EXACTLY_ONCE: 'true', ...more })

const scratchTopics = async (brokers: string) => {
  const admin = testKafka(brokers).admin()
  await admin.connect()
  try {
    return (await admin.listTopics()).filter((name) => name.startsWith('outbox-doctor-'))
  } finally {
    await admin.disconnect()
  }
}

test('a broker that takes a batch once is well, and nothing of the trial is left', async () => {
  const brokers = inject('brokers')
  expect((await asked(brokers)).of('exactly once')).toMatchObject({
    level: 'ok',
    finding: expect.stringContaining('is once in the log'),
  })
  await expect.poll(() => scratchTopics(brokers), { timeout: 30_000 }).toEqual([])
})

test('without being asked it tries nothing; where the relays run in the mode it says so', async () => {
  const brokers = inject('brokers')
  const plain = { OUTBOX_EXACTLY_ONCE: 'false' }
  const { verdicts } = await asked(brokers, plain)
  expect(verdicts.filter(({ check }) => check === 'exactly once')).toEqual([])
  await database.query('UPDATE outbox_lease SET format = 2')
  expect((await asked(brokers, plain)).of('exactly once')).toMatchObject({ level: 'unseen', fix: 'Run doctor --exactly-once.' })
})

describe('a broker that forgets producers soon, and that refuses topics', () => {
  let broker: KafkaServer
  beforeAll(async () => {
    broker = await startKafka({
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'allow.everyone.if.no.acl.found': 'true',
      'producer.id.expiration.ms': '3600000',
    })
  })
  afterAll(() => broker?.remove())

  test('is told by its setting, and tried only by a login that may create the topic', async () => {
    expect((await asked(broker.brokers)).of('exactly once')).toMatchObject({
      level: 'warning',
      finding: expect.stringContaining('after 1 h'),
    })
    const admin = testKafka(broker.brokers).admin()
    await admin.connect()
    const { CLUSTER, TOPIC } = AclResourceTypes
    const { LITERAL, PREFIXED } = ResourcePatternTypes
    const places = [
      { resourceType: CLUSTER, resourceName: 'kafka-cluster', resourcePatternType: LITERAL },
      { resourceType: TOPIC, resourceName: 'outbox-doctor-', resourcePatternType: PREFIXED },
    ]
    const who = { principal: 'User:ANONYMOUS', host: '*' }
    const { ALLOW, DENY } = AclPermissionTypes
    const acl = places.flatMap((place) => [
      { ...place, ...who, operation: AclOperationTypes.ALL, permissionType: ALLOW },
      { ...place, ...who, operation: AclOperationTypes.CREATE, permissionType: DENY },
    ])
    await admin.createAcls({ acl })
    await admin.disconnect()
    const refused = async () => (await asked(broker.brokers)).of('exactly once')
    await expect.poll(refused, { timeout: 20_000 }).toMatchObject({
      level: 'unseen',
      finding: expect.stringContaining('AUTHORIZATION_FAILED'),
    })
  })
})

test.each([
  ['takes a batch twice', { records: 2 }, 'failure', 'is 2 times in the log'],
  [
    'keeps the topic of the trial',
    { records: 1, left: 'outbox-doctor-1' },
    'warning',
    'outbox-doctor-1 of the trial could not be deleted',
  ],
  ['forgets producers after a day', { records: 1, expirationMs: 86_400_000 }, 'ok', 'is once in the log'],
])('a broker that %s: %o is %s', (_, facts, level, words) => {
  const none = { records: null, trouble: null, expirationMs: null, left: null }
  expect(judgeDeduplication({ ...none, ...facts })).toEqual([
    expect.objectContaining({ level, finding: expect.stringContaining(words) }),
  ])
})
