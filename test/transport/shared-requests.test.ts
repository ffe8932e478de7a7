import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { kafkajsTransport } from '../../src/transport/kafkajs.ts'
import type { Transport } from '../../src/transport/transport.ts'
import { FakeKafka } from '../support/fake-broker.ts'
import type { FakePartition } from '../support/fake-partition.ts'
import { Judge } from './judge.ts'

describe('sends of kafkajs in one turn of the event loop', () => {
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

  const produced = () => kafka.requests.splice(0).filter((api) => api === 'Produce').length
  const publish = (values: string, partitions = [0, 1, 2]) =>
    Promise.all(partitions.map((partition) => judge.publish('orders', partition, `${values} ${partition}`)))

  it('share a request for each broker, whatever their topics', async () => {
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

  it('do not wait for a request that is under way', async () => {
    let answer = () => {}
    orders[0]!.next({
      after: new Promise<void>((resolve) => {
        answer = resolve
      }),
    })
    const first = judge.publish('orders', 0, 'first')
    await kafka.asked('Produce')
    const second = judge.publish('orders', 3, 'second')
    expect((await second).kind).toBe('acked')
    answer()
    expect((await first).kind).toBe('acked')
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
