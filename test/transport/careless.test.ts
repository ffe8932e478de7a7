import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Transport } from '../../src/transport/transport.ts'
import { FakeKafka } from '../support/fake-broker.ts'
import { type Carelessness, carelessTransport } from './careless.ts'
import { Judge } from './judge.ts'
import { type ScenarioName, scenarios } from './scenarios.ts'

const retrying = { retries: 5 }
const impatient = { retries: 0 }
const idempotent = { retries: 1, idempotent: true }

/** What goes wrong → with which setting of kafkajs it breaks which promise. */
const table: [ScenarioName, Carelessness, breach: RegExp][] = [
  ['the leader moves between two attempts', retrying, /^a-1: acknowledged, not in the log$/],
  ['records without a key, of which one partition is refused', retrying, /: acknowledged, not in the log$/],
  ['records without a key, of which one partition is refused', retrying, /: sent once, 2 times in the log$/],
  ['two partitions fail with different codes', impatient, /^p1: "not written", in the log$/],
  ['two partitions fail with different codes', retrying, /^p2: "not written", in the log$/],
  ['a response is lost, then another batch of the same size', idempotent, /^b-1: acknowledged, not in the log$/],
  ['two batches at once, and the first response is lost', idempotent, /^[cd]-1: acknowledged, not in the log$/],
  ['one partition is too large, then the next batch', idempotent, /^b-1: acknowledged, not in the log$/],
  ['closed while a request hangs', retrying, /^1 published after close$/],
  ['a partition that does not exist', impatient, /^a: acknowledged, not in the log$/],
]

describe('the suite catches a transport that leaves too much to kafkajs', () => {
  let kafka: FakeKafka
  let transport: Transport
  beforeEach(async () => {
    kafka = await FakeKafka.start()
  })
  afterEach(async () => {
    await transport.close()
    await kafka.stop()
  })

  it.each(table)('%s, with %j: %s', async (scenario, carelessness, breach) => {
    transport = carelessTransport(kafka.brokers, carelessness)
    const judge = new Judge(kafka, transport)
    // Its own expectations fail as well; that is not what counts here.
    await scenarios[scenario]({ kafka, transport, judge }).catch(() => {})
    expect(await judge.breaches()).toContainEqual(expect.stringMatching(breach))
  })
})
