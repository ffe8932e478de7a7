import { describe, expect, test } from 'vitest'
import { healthPages } from '../../src/ops/health.ts'
import { LivenessCheck } from '../../src/ops/liveness.ts'
import { bootstrapServers, stuckOf, told } from '../../src/ops/trouble.ts'
import { Telemetry } from '../../src/relay/telemetry.ts'

const servers = 'kafka-1:9092,kafka-2:9092'

test.each([
  ['kafka-1:9092, kafka-2:9092', servers],
  [['kafka-1:9092', 'kafka-2:9092'], servers],
  [undefined, '"$KAFKA_BROKERS"'],
  ['sasl://ada:secret@kafka:9092', '"$KAFKA_BROKERS"'],
  ['kafka:9092;rm -rf', '"$KAFKA_BROKERS"'],
])('the brokers of a command, %o, are addresses or a variable of the shell', (given, expected) => {
  expect(bootstrapServers(given)).toBe(expected)
})

test.each<[string, string, number | null, string, string]>([
  ['missing', 'UNKNOWN_TOPIC_OR_PARTITION', null, 'Topic t does not exist.', '--create --topic t --partitions 12'],
  ['forbidden', 'TOPIC_AUTHORIZATION_FAILED', null, 'Topic t: the relay may not write to it.', '--operation Write --topic t'],
  ['short of replicas', 'NOT_ENOUGH_REPLICAS', 3, 'Partition 3 of t: not enough replicas.', '--describe --topic t --under-min'],
  [
    'without leader',
    'LEADER_NOT_AVAILABLE',
    0,
    'Partition 0 of t: no leader (LEADER_NOT_AVAILABLE).',
    '--unavailable-partitions',
  ],
  ['for another reason', 'POLICY_VIOLATION', null, 'Topic t takes no messages (POLICY_VIOLATION).', '--describe --topic t'],
  [
    'whose broker is out of reach',
    'ECONNREFUSED',
    3,
    'Partition 3 of t: its broker cannot be reached (ECONNREFUSED).',
    '--describe --topic t',
  ],
])('%s: said in words, with the command', (_, code, partition, what, command) => {
  const found = told({ topic: 't', partition, code }, servers)
  expect(found.what).toBe(what)
  expect(found.command).toContain(`.sh --bootstrap-server ${servers} `)
  expect(found.command).toContain(command)
})

test('a name that could do more than name a topic is in no command, and in one line', () => {
  const { what, command } = told({ topic: 't; rm -rf ~\n! x', partition: null, code: 'UNKNOWN_TOPIC_OR_PARTITION' }, servers)
  expect(command).toBeUndefined()
  expect(what).not.toContain('\n')
})

test('each topic and partition is named once, and a relay that is gone or without Kafka names none', () => {
  const one = { topic: 't', partition: null, code: 'A' }
  const relay = { alive: true, withoutKafka: false, trouble: [one] }
  const gone = { ...relay, alive: false, trouble: [{ ...one, topic: 'gone' }] }
  const silent = { ...relay, withoutKafka: true, trouble: [{ ...one, topic: 'silent' }] }
  const partition = { topic: 't', partition: 1, code: 'B' }
  expect(stuckOf([relay, relay, gone, silent, { ...relay, trouble: [partition] }], [{ ...one, code: 'OWN' }])).toEqual([
    { ...one, code: 'OWN' },
    partition,
  ])
})

describe('/readyz', () => {
  async function readyz(knows: boolean): Promise<string> {
    const telemetry = new Telemetry()
    const liveness = new LivenessCheck(telemetry, 3_000)
    telemetry.emit('topic_paused', { topic: 'orders', code: 'UNKNOWN_TOPIC_OR_PARTITION', error: 'e' })
    const pages = healthPages({ liveness, name: 'r', leaseMs: 3_000, formats: [1], servers, askKafka: async () => {} })
    return String((await pages['/readyz'].answer(new URL('http://relay/readyz'), knows)).body)
  }

  test('names the topic and the command to who has the login, or where there is none', async () => {
    expect(JSON.parse(await readyz(true)).trouble).toMatchObject([
      { topic: 'orders', what: 'Topic orders does not exist.', command: expect.stringContaining(servers) },
    ])
  })

  test('tells a probe without the login the code, and no name', async () => {
    const text = await readyz(false)
    expect(JSON.parse(text).trouble).toEqual([{ partition: null, code: 'UNKNOWN_TOPIC_OR_PARTITION' }])
    expect(text).not.toContain('orders')
  })
})
