import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BatchNumbers, ProducerEpoch, Transport, TransportBatch, TransportRecord } from '../../src/transport/transport.ts'

/** A record as it stands in the log. */
export interface Logged {
  partition: number
  offset: number | bigint
  key: Uint8Array | null
  value: Uint8Array | null
  headers: Record<string, string>
}

/** What the tests of a transport need. */
export interface Ground {
  /** A transport of the test's own; the suite closes it. */
  open(): Transport
  createTopic(partitions: number): Promise<string>
  deleteTopic(topic: string): Promise<void>
  growTopic(topic: string, partitions: number): Promise<void>
  read(topic: string): Promise<Logged[]>
}

const timeoutMs = 10_000
const utf8 = new TextEncoder()
const bytes = (text: string): Uint8Array => utf8.encode(text)
const never = new AbortController().signal

/** A record of test data. */
export const record = (key: string | null, value: string | null, headers: Record<string, string> = {}): TransportRecord => ({
  key: key === null ? null : bytes(key),
  value: value === null ? null : bytes(value),
  headers,
})

/** The values of a log as text. */
export const values = (log: Logged[]): (string | null)[] =>
  log.map(({ value }) => (value === null ? null : Buffer.from(value).toString()))

/** What every transport keeps, whatever is behind it. */
export function transportConformance(name: string, ground: Ground): void {
  describe(`the transport ${name}`, () => {
    let transport: Transport
    beforeEach(() => {
      transport = ground.open()
    })
    afterEach(() => transport.close())

    it('acknowledges what is in the log, in order, and names its first offset', async () => {
      const topic = await ground.createTopic(3)
      const batch = (from: number) => Array.from({ length: 5 }, (_, i) => record(`k${i}`, `v${from + i}`))

      expect(await transport.publish({ topic, partition: 1, records: batch(0) }, timeoutMs)).toEqual({
        kind: 'acked',
        baseOffset: 0n,
      })
      expect(await transport.publish({ topic, partition: 1, records: batch(5) }, timeoutMs)).toEqual({
        kind: 'acked',
        baseOffset: 5n,
      })

      const log = await ground.read(topic)
      expect(values(log)).toEqual(['v0', 'v1', 'v2', 'v3', 'v4', 'v5', 'v6', 'v7', 'v8', 'v9'])
      expect(new Set(log.map(({ partition }) => partition))).toEqual(new Set([1]))
    })

    it('writes a batch of 1,000 records in order', async () => {
      const topic = await ground.createTopic(1)
      const records = Array.from({ length: 1_000 }, (_, i) => record(`key ${i % 7}`, `value ${i}`))
      const outcome = await transport.publish({ topic, partition: 0, records }, timeoutMs)

      expect(outcome.kind).toBe('acked')
      expect(values(await ground.read(topic))).toEqual(records.map((_, i) => `value ${i}`))
    })

    it('writes several partitions at once', async () => {
      const topic = await ground.createTopic(6)
      const publish = (partition: number) =>
        transport.publish({ topic, partition, records: [record('k', `to ${partition}`)] }, timeoutMs)
      const outcomes = await Promise.all([0, 1, 2, 3, 4, 5].map(publish))

      expect(outcomes).toEqual(outcomes.map(() => ({ kind: 'acked', baseOffset: 0n })))
      expect(values(await ground.read(topic))).toEqual([0, 1, 2, 3, 4, 5].map((partition) => `to ${partition}`))
    })

    it('keeps tombstones, empty and missing keys, empty values and headers as they are', async () => {
      const topic = await ground.createTopic(1)
      const headers = { id: 'ü1', 'content-type': 'application/json', empty: '' }
      const records = [
        record('gone', null),
        record('', 'empty key'),
        record(null, 'no key'),
        record('k', ''),
        record('h', 'v', headers),
      ]
      const outcome = await transport.publish({ topic, partition: 0, records }, timeoutMs)

      expect(outcome.kind).toBe('acked')
      const log = await ground.read(topic)
      expect(log.map(({ key }) => (key === null ? null : Buffer.from(key).toString()))).toEqual(['gone', '', null, 'k', 'h'])
      expect(values(log)).toEqual([null, 'empty key', 'no key', '', 'v'])
      expect(log.map((one) => one.headers)).toEqual([{}, {}, {}, {}, headers])
    })

    it('writes bytes that are a view into a larger buffer, and bytes that are no text', async () => {
      const topic = await ground.createTopic(1)
      const all = Uint8Array.from([9, 9, 0, 255, 128, 10, 9])
      const view = all.subarray(2, 6)
      const outcome = await transport.publish(
        { topic, partition: 0, records: [{ key: view, value: view, headers: {} }] },
        timeoutMs,
      )

      expect(outcome.kind).toBe('acked')
      const [log] = await ground.read(topic)
      expect([...log!.key!]).toEqual([0, 255, 128, 10])
      expect([...log!.value!]).toEqual([0, 255, 128, 10])
    })

    it('blames the topic when it does not exist, and does not create it', async () => {
      const topic = await ground.createTopic(1)
      await ground.deleteTopic(topic)
      const code = 'UNKNOWN_TOPIC_OR_PARTITION'

      const outcome = await transport.publish({ topic, partition: 0, records: [record('k', 'v')] }, timeoutMs)
      expect(outcome).toMatchObject({ kind: 'not-written', scope: 'topic', code })
      await expect(transport.partitions(topic, never)).rejects.toMatchObject({ name: 'TransportError', scope: 'topic', code })
    })

    it('tells existing, missing and again existing topics apart in one question, and creates none', async () => {
      const [three, gone, one] = [await ground.createTopic(3), await ground.createTopic(1), await ground.createTopic(1)]
      await ground.deleteTopic(gone)
      const many = Array.from({ length: 500 }, (_, n) => `${gone}-${n}`)
      const code = 'UNKNOWN_TOPIC_OR_PARTITION'
      // Twice: the missing ones must not have been created, nor harm the connection.
      for (let turn = 0; turn < 2; turn++) {
        const counts = await transport.allPartitions([three, gone, ...many, one], never)
        expect([counts.size, counts.get(three), counts.get(one)]).toEqual([503, 3, 1])
        for (const topic of [gone, ...many])
          expect(counts.get(topic)).toMatchObject({ name: 'TransportError', scope: 'topic', code })
      }
      await ground.growTopic(one, 2)
      expect((await transport.allPartitions([one], never)).get(one)).toBe(2)
    })

    it('never writes to a partition that does not exist', async () => {
      const topic = await ground.createTopic(3)
      for (const partition of [3, 7, -1]) {
        const outcome = await transport.publish({ topic, partition, records: [record('k', 'v')] }, timeoutMs)
        expect(outcome).toMatchObject({ kind: 'not-written', scope: 'transient', code: 'PARTITION_NOT_FOUND' })
      }
      expect(await ground.read(topic)).toEqual([])
    })

    it('goes on with a healthy topic beside one that is deleted', async () => {
      const [healthy, deleted] = [await ground.createTopic(1), await ground.createTopic(1)]
      const publish = async (topic: string, value: string) =>
        (await transport.publish({ topic, partition: 0, records: [record('k', value)] }, timeoutMs)).kind
      expect([await publish(healthy, 'before'), await publish(deleted, 'before')]).toEqual(['acked', 'acked'])

      await ground.deleteTopic(deleted)
      const refused = await transport.publish({ topic: deleted, partition: 0, records: [record('k', 'after')] }, timeoutMs)
      expect(refused).toMatchObject({ kind: 'not-written', scope: 'topic' })

      expect(await publish(healthy, 'after')).toBe('acked')
      expect(values(await ground.read(healthy))).toEqual(['before', 'after'])
    })

    it('finds the new partitions of a topic that has grown', async () => {
      const topic = await ground.createTopic(1)
      const publish = (partition: number) =>
        transport.publish({ topic, partition, records: [record('k', `to ${partition}`)] }, timeoutMs)
      expect((await publish(0)).kind).toBe('acked')
      expect(await transport.partitions(topic, never)).toBe(1)

      await ground.growTopic(topic, 2)
      expect(await transport.partitions(topic, never)).toBe(2)
      // A client may still have the old number: it says so, and asks again for the next one.
      const first = await publish(1)
      if (first.kind !== 'acked') expect(first).toMatchObject({ kind: 'not-written', scope: 'transient' })
      if (first.kind !== 'acked') expect((await publish(1)).kind).toBe('acked')
      expect(values(await ground.read(topic))).toEqual(['to 0', 'to 1'])
    })

    describe('with numbers', () => {
      const producer = async (): Promise<ProducerEpoch> => transport.producerId!(never)
      const batch = (topic: string, numbers: BatchNumbers, ...texts: string[]) => ({
        topic,
        partition: 0,
        records: texts.map((text) => record('k', text)),
        numbers,
      })
      const publish = (given: TransportBatch) => transport.publish(given, timeoutMs)

      it('tells of which cluster the producer ids are', async () => {
        const id = await transport.clusterId!(never)
        expect(id).toMatch(/^.+$/)
        expect(await transport.clusterId!(never)).toBe(id)
      })

      it('gives a producer id that nobody has, each time', async () => {
        const [one, two] = [await producer(), await producer()]
        expect([one.epoch, two.epoch]).toEqual([0, 0])
        expect(one.producerId).not.toBe(two.producerId)
      })

      it('writes the same numbers once, from any connection, and names the first offset again (rule 21)', async () => {
        const topic = await ground.createTopic(1)
        const me = await producer()
        await publish({ topic, partition: 0, records: [record('k', 'before')] })
        const first = batch(topic, { ...me, sequence: 0 }, 'a', 'b')
        expect(await publish(first)).toEqual({ kind: 'acked', baseOffset: 1n })
        const next = batch(topic, { ...me, sequence: 2 }, 'c')
        expect(await publish(next)).toEqual({ kind: 'acked', baseOffset: 3n })
        expect(await publish(first)).toEqual({ kind: 'acked', baseOffset: 1n })
        expect(await publish(next)).toEqual({ kind: 'acked', baseOffset: 3n })
        expect(values(await ground.read(topic))).toEqual(['before', 'a', 'b', 'c'])
      })

      it('begins with the next epoch, or a later one, without asking for it, and writes nothing of an earlier one (rule 21)', async () => {
        const topic = await ground.createTopic(1)
        const { producerId } = await producer()
        const inEpoch = (epoch: number, ...texts: string[]) => publish(batch(topic, { producerId, epoch, sequence: 0 }, ...texts))
        expect((await inEpoch(0, 'a')).kind).toBe('acked')
        expect((await inEpoch(1, 'b', 'c')).kind).toBe('acked')
        expect((await inEpoch(1, 'b', 'c')).kind).toBe('acked')
        expect((await inEpoch(9, 'd')).kind).toBe('acked')
        expect(await inEpoch(1, 'late')).toMatchObject({ kind: 'unknown', code: 'INVALID_PRODUCER_EPOCH' })
        expect(values(await ground.read(topic))).toEqual(['a', 'b', 'c', 'd'])
      })

      it('writes nothing that leaves numbers out, and says that it is not the next batch', async () => {
        const topic = await ground.createTopic(1)
        const me = await producer()
        expect((await publish(batch(topic, { ...me, sequence: 0 }, 'a'))).kind).toBe('acked')
        const gap = await publish(batch(topic, { ...me, sequence: 5 }, 'f'))
        expect(gap).toMatchObject({ kind: 'unknown', code: 'OUT_OF_ORDER_SEQUENCE_NUMBER' })
        const begin = await publish(batch(topic, { ...me, epoch: 1, sequence: 3 }, 'd'))
        expect(begin).toMatchObject({ kind: 'unknown', code: 'OUT_OF_ORDER_SEQUENCE_NUMBER' })
        expect(values(await ground.read(topic))).toEqual(['a'])
      })

      it('drops a second content of the same numbers and acknowledges it: nobody may send one', async () => {
        const topic = await ground.createTopic(1)
        const numbers = { ...(await producer()), sequence: 0 }
        expect((await publish(batch(topic, numbers, 'a', 'b'))).kind).toBe('acked')
        expect((await publish(batch(topic, numbers, 'x', 'y'))).kind).toBe('acked')
        expect(values(await ground.read(topic))).toEqual(['a', 'b'])
      })
    })

    it('sends nothing after close, which may be called again', async () => {
      const topic = await ground.createTopic(1)
      const batch = { topic, partition: 0, records: [record('k', 'v')] }
      expect((await transport.publish(batch, timeoutMs)).kind).toBe('acked')
      await transport.close()
      await transport.close()

      expect(await transport.publish(batch, timeoutMs)).toMatchObject({ kind: 'not-written', code: 'CLOSED' })
      await expect(transport.connect(never)).rejects.toMatchObject({ code: 'CLOSED', scope: 'producer' })
      await expect(transport.partitions(topic, never)).rejects.toMatchObject({ code: 'CLOSED', scope: 'producer' })
      await expect(transport.allPartitions([topic], never)).rejects.toMatchObject({ code: 'CLOSED', scope: 'producer' })
      expect(await ground.read(topic)).toHaveLength(1)
    })

    it('rejects connect and partitions with the reason of an aborted signal', async () => {
      const reason = new Error('enough')
      const topic = await ground.createTopic(1)
      await expect(transport.connect(AbortSignal.abort(reason))).rejects.toBe(reason)
      await expect(transport.partitions(topic, AbortSignal.abort(reason))).rejects.toBe(reason)
      await expect(transport.allPartitions([topic], AbortSignal.abort(reason))).rejects.toBe(reason)
    })
  })
}
