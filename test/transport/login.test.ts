import { AclOperationTypes, AclPermissionTypes, AclResourceTypes, Kafka, logLevel, ResourcePatternTypes } from 'kafkajs'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { platformaticTransport } from '../../src/transport/platformatic/platformatic.ts'
import type { Transport } from '../../src/transport/transport.ts'
import { type KafkaServer, startKafka } from '../support/kafka.ts'
import { record } from './conformance.ts'

const never = new AbortController().signal
const module = 'org.apache.kafka.common.security.plain.PlainLoginModule'
let kafka: KafkaServer

beforeAll(async () => {
  kafka = await startKafka({
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_PLAINTEXT',
    'sasl.enabled.mechanisms': 'PLAIN',
    'sasl.mechanism.inter.broker.protocol': 'PLAIN',
    'listener.name.plaintext.plain.sasl.jaas.config': `${module} required username="root" password="root" user_root="root" user_relay="relay";`,
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users': 'User:root;User:ANONYMOUS',
  })
})
afterAll(() => kafka.remove())

const ways = { kafkajs: kafkajsTransport, platformatic: platformaticTransport }
type Way = keyof typeof ways

function open(way: Way, username: string, password = username): Transport {
  const transport = ways[way]({ brokers: [kafka.brokers], sasl: { mechanism: 'plain', username, password } })
  onTestFinished(() => transport.close())
  return transport
}

/** Creates a topic as root, and lets the relay's user do what `rights` say. */
async function createTopic(topic: string, rights: AclOperationTypes[]): Promise<string> {
  const sasl = { mechanism: 'plain', username: 'root', password: 'root' } as const
  const admin = new Kafka({ brokers: [kafka.brokers], sasl, logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true })
  const acl = { resourceType: AclResourceTypes.TOPIC, resourceName: topic, resourcePatternType: ResourcePatternTypes.LITERAL }
  const who = { principal: 'User:relay', host: '*', permissionType: AclPermissionTypes.ALLOW }
  if (rights.length > 0) await admin.createAcls({ acl: rights.map((operation) => ({ ...acl, ...who, operation })) })
  await admin.disconnect()
  return topic
}

const publish = (transport: Transport, topic: string) =>
  transport.publish({ topic, partition: 0, records: [record('k', 'v')] }, 10_000)

describe.each(Object.keys(ways) as Way[])('a broker with login and rights, with %s', (way) => {
  it('lets in who may enter', async () => {
    const transport = open(way, 'relay')
    await transport.connect(never)
    const topic = await createTopic(`allowed-${way}`, [AclOperationTypes.WRITE])
    expect(await transport.partitions(topic, never)).toBe(1)
    expect(await publish(transport, topic)).toEqual({ kind: 'acked', baseOffset: 0n })
  })

  it('refuses a wrong password: nobody can send, and the password is not told', async () => {
    const transport = open(way, 'relay', 'hunter2')
    const refused = { scope: 'producer', code: 'SASL_AUTHENTICATION_FAILED' }
    await expect(transport.connect(never)).rejects.toMatchObject(refused)
    const outcome = await publish(transport, 'any')
    expect(outcome).toMatchObject({ kind: 'not-written', ...refused })
    expect(JSON.stringify(outcome)).not.toContain('hunter2')
  })

  it.each([
    ['to see it', []],
    ['to write to it', [AclOperationTypes.DESCRIBE]],
  ])('blames the topic that we have no right %s, and no other', async (_, rights) => {
    const transport = open(way, 'relay')
    const [forbidden, allowed] = [
      await createTopic(`forbidden-${way}-${rights.length}`, rights),
      await createTopic(`allowed-${way}-${rights.length}`, [AclOperationTypes.WRITE]),
    ]
    expect((await publish(transport, allowed)).kind).toBe('acked')
    expect(await publish(transport, forbidden)).toMatchObject({
      kind: 'not-written',
      scope: 'topic',
      code: 'TOPIC_AUTHORIZATION_FAILED',
    })
    expect((await publish(transport, allowed)).kind).toBe('acked')
  })
})
