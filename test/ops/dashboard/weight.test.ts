import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { framed } from '../../../src/ops/dashboard/frame.ts'
import { History, pointMs, points } from '../../../src/ops/dashboard/history.ts'
import { overview } from '../../../src/ops/dashboard/overview.ts'
import { Standing } from '../../../src/ops/dashboard/standing.ts'
import { stateNow } from '../../../src/ops/dashboard/state.ts'
import { LivenessCheck } from '../../../src/ops/liveness.ts'
import { type RelayEvents, Telemetry } from '../../../src/relay/telemetry.ts'

test('an overview of more topics and relays than it shows, with long names and a whole quarter of an hour, is below 80 kB with all that it loads', () => {
  const clock = { now: 0 }
  const now = () => clock.now
  const telemetry = new Telemetry()
  const [liveness, standing] = [new LivenessCheck(telemetry, 3_000, now), new Standing(telemetry, 3_000, now)]
  const history = new History(telemetry, now)
  const relays = Array.from({ length: 100 }, (_, n) => ({
    name: `relay-${n}-`.padEnd(60, 'r'),
    alive: true,
    buckets: 6,
    seenMsAgo: 1,
    ackedMsAgo: 1,
    withoutKafka: false,
    trouble: [],
  }))
  const topics = Array.from({ length: 60 }, (_, n) => ({
    topic: `topic-${n}-`.padEnd(100, 't'),
    oldestMs: 1_000,
    ownOldestMs: null,
  }))
  const holders = Array.from({ length: 64 }, (_, bucket) => ({ bucket, relay: relays[bucket]!.name, expired: false }))
  for (let n = 0; n < points; n++) {
    const agesMs = [20 + n, 5_000 - 7 * n]
    telemetry.emit('published', { topic: 't', partition: 0, records: 7_919 * (n % 13), bytes: 1, ms: 1, agesMs, traces: [] })
    telemetry.emit('sampled', {
      backlog: { messages: 104_729 * (n % 11), exact: true, oldestMs: 997 * (n % 17) },
      topics,
      leases: { held: 64, expired: 0, free: 0 },
      holders,
      relays: relays.map((relay) => ({ ...relay, version: '1.0.0' })),
      dead: { byReason: {}, blocked: 0, exact: true },
      blockedKeys: 0,
      oldestTransactionMs: 0,
      deletedRows: 15_013 * n,
    } as unknown as RelayEvents['sampled'])
    clock.now += pointMs
  }
  telemetry.emit('heartbeat', { relays: 1, owned: 64, inFlight: 0, inFlightBytes: 0, silentMs: 0 })
  const state = stateNow({ liveness, standing, servers: 'kafka-1:9092' })
  const { body } = framed('relay', overview({ state, standing, history }), state)
  expect(body.match(/<path class="line/g)).toHaveLength(6)
  expect(body.match(/… and \d+ more/g)).toEqual(['… and 74 more', '… and 31 more'])
  const files = new URL('../../../ops/dashboard/', import.meta.url)
  const loaded = readdirSync(files).map((file) => readFileSync(new URL(file, files)).length)
  expect(Buffer.byteLength(body) + loaded.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThan(80_000)
})
