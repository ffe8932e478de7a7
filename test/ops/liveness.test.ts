import { describe, expect, test } from 'vitest'
import { LivenessCheck, liveness, type Signs, stallMs } from '../../src/ops/liveness.ts'
import { type RelayEvents, Telemetry } from '../../src/relay/telemetry.ts'

const well: Signs = {
  beatAt: 100_000,
  movedAt: 0,
  busySince: undefined,
  lateSince: undefined,
  keptSince: undefined,
  databaseTrouble: undefined,
  kafkaTrouble: undefined,
}

describe('a restart could help', () => {
  test.each<[string, Partial<Signs>, boolean, string]>([
    ['not while nothing is to be done', {}, true, 'idle'],
    ['not while messages move', { busySince: 10_000, movedAt: 99_000 }, true, 'at work'],
    ['not at once when none moves', { busySince: 80_000, movedAt: 79_000 }, true, 'at work'],
    ['when messages are in flight and none moves', { busySince: 60_000, movedAt: 50_000 }, false, 'none moved for 50 s'],
    ['when messages wait and none moves', { lateSince: 60_000, movedAt: 50_000 }, false, 'messages wait'],
    ['not when messages are old but move', { lateSince: 10_000, movedAt: 99_000 }, true, 'idle'],
    ['not while deletes have no effect', { busySince: 0, lateSince: 0, keptSince: 0 }, true, 'no effect'],
    ['when the heart has stopped', { beatAt: 60_000 }, false, 'no heartbeat for 40 s'],
    ['not while the database is away', { beatAt: 0, busySince: 0, databaseTrouble: 'ECONNREFUSED' }, true, 'ECONNREFUSED'],
    ['not while Kafka is away', { busySince: 0, lateSince: 0, kafkaTrouble: 'TIMEOUT' }, true, 'waits for Kafka (TIMEOUT)'],
    ['when the heart has stopped, whatever Kafka does', { beatAt: 60_000, kafkaTrouble: 'TIMEOUT' }, false, 'no heartbeat'],
  ])('%s', (_, signs, alive, why) => {
    expect(liveness({ ...well, ...signs }, 100_000, 30_000)).toEqual({ alive, why: expect.stringContaining(why) })
  })

  test('after three lease times, but not before half a minute', () => {
    expect([3_000, 10_000, 60_000].map(stallMs)).toEqual([30_000, 30_000, 180_000])
  })
})

describe('signs of a relay, by what it tells', () => {
  function keep() {
    const clock = { now: 0 }
    const telemetry = new Telemetry()
    const liveness = new LivenessCheck(telemetry, 10_000, () => clock.now)
    const beat = (inFlight: number) =>
      telemetry.emit('heartbeat', { relays: 1, owned: 64, inFlight, inFlightBytes: 0, silentMs: 0 })
    /** Lets time pass, with a heartbeat each second. */
    const pass = (seconds: number, inFlight: number) => {
      for (let n = 0; n < seconds; n++) {
        clock.now += 1_000
        beat(inFlight)
      }
    }
    const waits = (topic: string, ownOldestMs: number | null) =>
      telemetry.emit('sampled', { topics: [{ topic, oldestMs: 90_000, ownOldestMs }], format: 1 } as RelayEvents['sampled'])
    return { clock, telemetry, liveness, pass, waits }
  }

  test('a lane that is stuck with messages in flight is found, and one that moves again is well', () => {
    const { liveness, pass, telemetry } = keep()
    pass(100, 0)
    expect(liveness.live.alive).toBe(true)
    pass(30, 5)
    expect(liveness.live.alive).toBe(true)
    pass(2, 5)
    expect(liveness.live.alive).toBe(false)
    telemetry.emit('settled', { rows: 1, ms: 1 })
    expect(liveness.live.alive).toBe(true)
  })

  test('a reader that is stuck is found by its own old messages; those of others and of paused topics do not count', () => {
    const { liveness, pass, waits, telemetry } = keep()
    const later = (topic: string, own: number | null) => {
      waits(topic, own)
      pass(31, 0)
      waits(topic, own)
      return liveness.live.alive
    }
    expect(later('t', null)).toBe(true)
    expect(later('t', 1_000)).toBe(true)
    telemetry.emit('topic_paused', { topic: 't', code: 'C', error: 'e' })
    expect(later('t', 90_000)).toBe(true)
    telemetry.emit('topic_resumed', { topic: 't', ms: 1 })
    expect(later('t', 90_000)).toBe(false)
  })

  test('a message that appears old, by a transaction that commits late, is no reason before the relay has had its time', () => {
    const { liveness, pass, waits } = keep()
    pass(100, 0)
    waits('t', 90_000)
    expect(liveness.live.alive).toBe(true)
  })

  test('when the database or Kafka is there again, the time starts over', () => {
    const { clock, liveness, pass, telemetry } = keep()
    pass(1, 5)
    telemetry.emit('kafka_trouble', { code: 'C', error: 'e' })
    pass(100, 5)
    telemetry.emit('kafka_recovered', { ms: 1 })
    expect(liveness.live.alive).toBe(true)
    telemetry.emit('database_trouble', { code: 'C', error: 'e' })
    clock.now += 100_000
    expect(liveness.live).toMatchObject({ alive: true, why: 'waits for the database (C)' })
    telemetry.emit('database_recovered', { ms: 1 })
    expect(liveness.live.alive).toBe(true)
    clock.now += 31_000
    expect(liveness.live.alive).toBe(false)
  })
})
