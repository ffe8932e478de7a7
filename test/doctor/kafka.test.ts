import kafkajs, { type Admin } from 'kafkajs'
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import { writeRights } from '../../src/doctor/questions/write-rights.ts'
import { useDatabase } from '../support/database.ts'
import { type KafkaServer, startKafka } from '../support/kafka.ts'
import { freePort } from '../support/ports.ts'
import { createTopic, readTopic, testKafka } from '../support/topics.ts'
import { diagnose, judgeTopic } from './diagnose.ts'

// Not among the names that Node finds in this CommonJS module.
const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs

const database = useDatabase('all')
beforeEach(() => database.query('TRUNCATE outbox'))

const judged = (topic: string, brokers: string) => judgeTopic(database, topic, brokers)

describe('one broker', () => {
  test('that answers is well, one that does not is a failure, and none given is not checked', async () => {
    const look = (more: Record<string, string>) => diagnose({ DATABASE_URL: database.directUrl, ...more })
    expect((await look({ KAFKA_BROKERS: inject('brokers') })).of('kafka')).toMatchObject({
      level: 'ok',
      finding: '1 broker in the cluster.',
    })
    expect((await look({ KAFKA_BROKERS: `127.0.0.1:${await freePort()}` })).of('kafka')).toMatchObject({
      level: 'failure',
      finding: expect.stringContaining('ECONNREFUSED'),
    })
    expect((await look({})).level('kafka')).toBe('unseen')
  })

  test('a topic that does not exist is a failure; of one replica a warning', async () => {
    const [missing] = await judged('not-there', inject('brokers'))
    expect(missing).toMatchObject({ level: 'failure', fix: expect.stringContaining('--create --topic not-there') })
    const [single] = await judged(await createTopic('doctor', 1), inject('brokers'))
    expect(single).toMatchObject({ level: 'warning', finding: '1 replica, min.insync.replicas 1.' })
  })
})

describe('a broker with ACLs', () => {
  let broker: KafkaServer
  let admin: Admin
  beforeAll(async () => {
    broker = await startKafka({
      'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
      'allow.everyone.if.no.acl.found': 'true',
    })
    admin = testKafka(broker.brokers).admin()
    await admin.connect()
  })
  afterAll(async () => {
    await admin?.disconnect()
    await broker?.remove()
  })

  const first = async (topic: string) => {
    const [worst] = await judged(topic, broker.brokers)
    return [worst!.level, worst!.finding]
  }
  const operations = AclOperationTypes
  test.each([
    ['to write', operations.WRITE, 'failure', 'This login may not write to it.'],
    ['to see it', operations.DESCRIBE, 'failure', 'Kafka refuses to tell about it (TOPIC_AUTHORIZATION_FAILED).'],
    ['to see its settings', operations.DESCRIBE_CONFIGS, 'unseen', 'Its settings cannot be seen.'],
  ])('without the right %s it is told, with it all is well, and nothing was written', async (_, operation, level, finding) => {
    const topic = await createTopic('doctor', 1, { brokers: broker.brokers })
    const about = { resourceType: AclResourceTypes.TOPIC, resourceName: topic, resourcePatternType: ResourcePatternTypes.LITERAL }
    const who = { principal: 'User:ANONYMOUS', host: '*' }
    const { ALLOW, DENY, ANY } = AclPermissionTypes
    // Without the first, nobody but super users could do anything with a topic that has an ACL.
    const acl = [
      { ...about, ...who, operation: operations.ALL, permissionType: ALLOW },
      { ...about, ...who, operation, permissionType: DENY },
    ]
    await admin.createAcls({ acl })
    await expect.poll(() => first(topic), { timeout: 20_000 }).toEqual([level, finding])
    await admin.deleteAcls({ filters: [{ ...about, operation: operations.ANY, permissionType: ANY }] })
    // One replica is what is left to say.
    await expect.poll(() => first(topic), { timeout: 20_000 }).toEqual(['warning', '1 replica, min.insync.replicas 1.'])
    expect(await readTopic(topic, broker.brokers)).toEqual([])
  })
})

test('where kafkajs is made otherwise inside, the right to write is not to be seen, and nothing else fails', async () => {
  const topic = await createTopic('doctor', 1)
  const client = testKafka()
  expect(await writeRights(client, [topic])).toEqual([true])
  for (const symbol of Object.getOwnPropertySymbols(client)) Reflect.deleteProperty(client, symbol)
  expect(await writeRights(client, [topic, topic])).toEqual([null, null])
})
