import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Transport } from '../../src/transport/transport.ts'
import { FakeKafka } from '../support/fake-broker.ts'
import { record } from './conformance.ts'
import { Judge } from './judge.ts'
import { codes } from './produce-codes.ts'
import { type ScenarioName, scenarios } from './scenarios.ts'

/** How a transport differs from what every other does. */
export interface Manner {
  /** Codes after which it cannot tell the produce answer from one to a question of its own: unknown instead of "not written". */
  doubts?: string[]
}

/** What every transport keeps when brokers fail: acknowledged is in the log, and "not written" is not, now or later. */
export function faultConformance(name: string, open: (brokers: string[]) => Transport, { doubts = [] }: Manner = {}): void {
  describe(`the transport ${name}, and brokers that fail`, () => {
    let kafka: FakeKafka
    let transport: Transport
    let judge: Judge
    // A client that is loaded when it is used would take that time from the first publish.
    beforeAll(async () => {
      kafka = await FakeKafka.start()
      transport = open(kafka.brokers)
      await transport.connect(new AbortController().signal)
      await transport.close()
      await kafka.stop()
    })
    beforeEach(async () => {
      kafka = await FakeKafka.start()
      transport = open(kafka.brokers)
      judge = new Judge(kafka, transport)
    })
    afterEach(async () => {
      await transport.close()
      await kafka.stop()
    })

    it.each(Object.keys(scenarios) as ScenarioName[])('%s', async (scenario) => {
      await scenarios[scenario]({ kafka, transport, judge })
      expect(await judge.breaches()).toEqual([])
    })

    it('sends a batch of unknown outcome again under the same numbers, and it is there once (rule 21)', async () => {
      const [place] = judge.createTopic('orders', [1])
      const numbers = { ...(await transport.producerId!(new AbortController().signal)), sequence: 0 }
      const batch = { topic: 'orders', partition: 0, records: [record('k', 'a'), record('k', 'b')], numbers }
      place!.next({ reply: 'lost' }, { error: 7, append: true }, { error: 6 })
      for (let turn = 0; turn < 3; turn++) expect((await transport.publish(batch, 5_000)).kind).toBe('unknown')
      expect(await transport.publish(batch, 5_000)).toEqual({ kind: 'acked', baseOffset: 0n })
      expect(place!.log).toHaveLength(2)
      expect([...place!.producerIds]).toEqual([numbers.producerId])
    })

    it('is not transactional, and without numbers not idempotent: it opens nothing that would have to be ended', async () => {
      const [place] = judge.createTopic('orders', [1])
      place!.next({}, { reply: 'lost' })
      for (const value of ['a', 'b', 'c']) await judge.insist('orders', 0, value)
      expect(new Set(kafka.requests)).toEqual(new Set(['ApiVersions', 'Metadata', 'Produce']))
      expect([...place!.producerIds]).toEqual([-1n])
    })

    it('refuses a header that is null, with its place, and sends nothing', async () => {
      judge.createTopic('orders', [1])
      const odd = { ...record('k', 'v'), headers: { trace: null } as unknown as Record<string, string> }
      const outcome = await transport.publish({ topic: 'orders', partition: 0, records: [record('k', 'v'), odd] }, 5_000)
      expect(outcome).toMatchObject({ kind: 'not-written', scope: 'record', refused: [1] })
      expect(kafka.requests).not.toContain('Produce')
    })

    it.each(codes)('answers %s %s as what it proves', async (number, code, meaning, written) => {
      const [place] = judge.createTopic('orders', [1])
      await judge.publish('orders', 0, 'warm')
      place!.next({ error: number, append: written })
      const outcome = await judge.publish('orders', 0, 'a')
      const said = outcome.kind === 'not-written' ? outcome.scope : outcome.kind
      expect(said).toBe(doubts.includes(code) ? 'unknown' : meaning)
      if (said !== 'unknown') expect(outcome).toMatchObject({ code })
      await judge.insist('orders', 0, 'b')
      expect(await judge.breaches()).toEqual([])
    })
  })
}
