import { beforeEach, describe, expect, it } from 'vitest'
import { type MemoryTransport, memoryTransport } from '../../src/transport/memory.ts'
import { record, transportConformance, values } from './conformance.ts'

let transport: MemoryTransport
let topics = 0

transportConformance('memory', {
  open: () => {
    transport = memoryTransport({ partitions: 0 })
    return transport
  },
  createTopic: async (partitions) => {
    const topic = `topic-${topics++}`
    transport.setPartitions(topic, partitions)
    return topic
  },
  deleteTopic: async (topic) => transport.setPartitions(topic, 0),
  growTopic: async (topic, partitions) => transport.setPartitions(topic, partitions),
  read: async (topic) => transport.records(topic).sort((a, b) => a.partition - b.partition),
})

describe('the memory transport of a test', () => {
  const never = new AbortController().signal
  const send = (...records: string[]) =>
    transport.publish({ topic: 'orders', partition: 0, records: records.map((value) => record('k', value)) }, 1_000)
  const text = (bytes: Uint8Array | null) => Buffer.from(bytes ?? []).toString()
  const log = () => values(transport.records('orders'))

  beforeEach(() => {
    transport = memoryTransport({ topics: { orders: 1 } })
  })

  it('refuses a whole batch because of one record, so often as it was told', async () => {
    const outcome = { kind: 'not-written', scope: 'record', code: 'INVALID_RECORD', error: 'bad' } as const
    transport.refuse(({ value }) => text(value) === 'bad', { outcome, times: 1 })
    expect(await send('good', 'bad')).toEqual(outcome)
    expect(log()).toEqual([])
    expect(await send('good', 'bad')).toEqual({ kind: 'acked', baseOffset: 0n })
    expect(log()).toEqual(['good', 'bad'])
  })

  it('loses an acknowledgement: unknown, and yet in the log', async () => {
    const outcome = { kind: 'unknown', code: 'ECONNRESET', error: 'lost' } as const
    const accept = transport.refuse(() => true, { outcome, written: true })
    expect(await send('once')).toEqual(outcome)
    accept()
    expect((await send('once')).kind).toBe('acked')
    expect(log()).toEqual(['once', 'once'])
  })

  it('answers nothing while it is paused: unknown and not written when the time is over, acknowledged when it goes on before', async () => {
    transport.pause()
    expect(await transport.publish({ topic: 'orders', partition: 0, records: [record('k', 'late')] }, 20)).toMatchObject({
      kind: 'unknown',
      code: 'TIMEOUT',
    })
    const patient = send('patient')
    await transport.called(2)
    const connected = transport.connect(never)
    transport.resume()
    expect((await patient).kind).toBe('acked')
    await connected
    expect(log()).toEqual(['patient'])
  })

  it('gives up waiting for a paused broker when the signal says so', async () => {
    transport.pause()
    const stop = new AbortController()
    const connected = transport.connect(stop.signal)
    stop.abort(new Error('stop'))
    await expect(connected).rejects.toThrow('stop')
  })

  it('refuses everything while it is down', async () => {
    transport.goDown()
    expect(await send('v')).toMatchObject({ kind: 'not-written', scope: 'producer', code: 'ECONNREFUSED' })
    await expect(transport.connect(never)).rejects.toMatchObject({ scope: 'producer', code: 'ECONNREFUSED' })
    await expect(transport.partitions('orders', never)).rejects.toMatchObject({ scope: 'producer' })
    transport.goUp()
    await transport.connect(never)
    expect((await send('v')).kind).toBe('acked')
  })

  it('tells when so many records are written', async () => {
    const two = transport.written(2, 'orders')
    await send('a')
    expect(await Promise.race([two.then(() => 'there'), send('b').then(() => 'sent')])).toBe('there')
    expect(transport.batches).toHaveLength(2)
  })
})
