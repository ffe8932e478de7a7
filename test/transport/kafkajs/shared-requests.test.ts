import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { kafkajsTransport } from '../../../src/transport/kafkajs/kafkajs.ts'
import type { Transport } from '../../../src/transport/transport.ts'
import { FakeKafka } from '../../support/fake-broker.ts'
import type { FakePartition } from '../../support/fake-partition.ts'
import { Judge } from '../judge.ts'

describe('sends of kafkajs', () => {
  let kafka: FakeKafka
  let transport: Transport
  let judge: Judge
  let orders: FakePartition[]
  beforeEach(async () => {
    kafka = await FakeKafka.start()
    transport = kafkajsTransport({ brokers: kafka.brokers })
    judge = new Judge(kafka, transport)
    // Two brokers: partitions 0 to 2 belong to the first.
    orders = judge.createTopic('orders', [1, 1, 1, 2])
    judge.createTopic('mails', [1])
    for (const partition of [0, 3]) await judge.publish('orders', partition, `warm ${partition}`)
    await judge.publish('mails', 0, 'warm')
    kafka.requests.length = 0
  })
  afterEach(async () => {
    expect(await judge.breaches()).toEqual([])
    await kafka.stop()
  })

  /** Lets the partition's next answer wait until the function that comes back is called. */
  const held = (partition: FakePartition) => {
    let answer = () => {}
    partition.next({ after: new Promise<void>((resolve) => (answer = resolve)) })
    return () => answer()
  }
  /** Time enough for a send to reach the socket if nothing held it: one turn does for two sends of neighboring turns to meet. */
  const turns = async () => {
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
  }
  const produced = () => kafka.requests.splice(0).filter((api) => api === 'Produce').length
  const publish = (values: string, partitions = [0, 1, 2]) =>
    Promise.all(partitions.map((partition) => judge.publish('orders', partition, `${values} ${partition}`)))

  it('in one turn of the event loop share a request for each broker, whatever their topics', async () => {
    const outcomes = await Promise.all([publish('a', [0, 1, 2, 3]), judge.publish('mails', 0, 'a mail')])
    expect(outcomes.flat().map(({ kind }) => kind)).toEqual(Array(5).fill('acked'))
    expect(produced()).toBe(2)
  })

  it('each learn what became of their own partition', async () => {
    orders[1]!.next({ error: 10 })
    expect(await publish('a')).toMatchObject([
      { kind: 'acked' },
      { kind: 'not-written', scope: 'record', code: 'MESSAGE_TOO_LARGE' },
      { kind: 'acked' },
    ])
    expect(produced()).toBe(1)
  })

  it('are unknown where the answer does not name their partition', async () => {
    orders[1]!.next({ unnamed: true })
    expect(await publish('a')).toMatchObject([{ kind: 'acked' }, { kind: 'unknown' }, { kind: 'acked' }])
    expect(produced()).toBe(1)
  })

  it('are all unknown when the connection is lost before the answer', async () => {
    orders[1]!.next({ reply: 'lost' })
    expect((await publish('a')).map(({ kind }) => kind)).toEqual(['unknown', 'unknown', 'unknown'])
    await judge.insist('orders', 0, 'b')
  })

  it('wait for a request that is under way to their broker, and share the next', async () => {
    const answer = held(orders[0]!)
    const first = judge.publish('orders', 0, 'first')
    await kafka.asked('Produce')
    const later = [judge.publish('orders', 1, 'later 1')]
    await turns()
    later.push(judge.publish('orders', 2, 'later 2'))
    await turns()
    expect(produced()).toBe(1)
    answer()
    expect((await Promise.all([first, ...later])).map(({ kind }) => kind)).toEqual(Array(3).fill('acked'))
    expect(produced()).toBe(1)
  })

  it('do not wait for a request to another broker', async () => {
    const answer = held(orders[0]!)
    const first = judge.publish('orders', 0, 'first')
    await kafka.asked('Produce')
    expect((await judge.publish('orders', 3, 'elsewhere')).kind).toBe('acked')
    answer()
    expect((await first).kind).toBe('acked')
  })

  it('that still wait when their time is over are not written, then or later', async () => {
    const answer = held(orders[0]!)
    const first = judge.publish('orders', 0, 'first')
    await kafka.asked('Produce')
    expect(await judge.publish('orders', 1, 'late', { within: 100 })).toMatchObject({ kind: 'not-written', code: 'TIMEOUT' })
    answer()
    expect((await first).kind).toBe('acked')
    await judge.insist('orders', 1, 'next')
    expect(orders[1]!.log.map(({ value }) => String(value))).toEqual(['next-1'])
  })

  it('have a request each for two batches of one partition, and for what is large', async () => {
    const twice = [judge.publish('orders', 0, 'a'), judge.publish('orders', 0, 'b')]
    expect((await Promise.all(twice)).map(({ kind }) => kind)).toEqual(['acked', 'acked'])
    expect(produced()).toBe(2)
    const large = [1, 2].map((partition) => judge.publish('orders', partition, `${partition}`.repeat(40_000)))
    const larger = judge.publish('orders', 0, 'x'.repeat(70_000))
    expect((await Promise.all([...large, larger])).map(({ kind }) => kind)).toEqual(Array(3).fill('acked'))
    expect(produced()).toBe(3)
  })
})
