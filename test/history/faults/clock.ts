import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { faketime, hasFaketime } from '../../support/faketime.ts'
import type { Fault } from '../fault.ts'

/** One more relay, whose wall clock is wrong; the clock jumps by `then` at the heal, before the relay is told to stop. */
function wrongClock(name: string, what: string, first: string, then: string): Fault {
  return {
    name,
    what,
    lastsMs: [4_000, 15_000],
    async begin({ relays, random, note }) {
      if (!hasFaketime) {
        note(`${name}: Debian's package faketime is not installed`)
        return async () => {}
      }
      const file = join(tmpdir(), `outbox-faketime-${process.pid}-${Math.floor(random() * 1e9)}`)
      await writeFile(file, `${first}\n`)
      const relay = await relays.startWith(faketime(file))
      note(`${name}: ${relay.name}`)
      let healed = false
      return async () => {
        if (healed) return
        healed = true
        await writeFile(file, `${then}\n`)
        relay.signal('SIGTERM')
        // Frozen by another fault it cannot obey.
        const timer = setTimeout(() => relay.signal('SIGKILL'), 15_000)
        await relay.ended()
        clearTimeout(timer)
        await rm(file, { force: true })
      }
    },
  }
}

/**
 * For the broken relays that wait for such a lease. What a relay left behind that died: leases that end an hour later than any can. Relays
 * that live have prolonged theirs by the new time. Nobody gets its buckets before it would have lost them: it counts as their owner.
 */
export const steppedBack: Fault = {
  name: 'clock-stepped-back',
  what: 'a relay is killed, and the clock of the database is an hour slower than when it wrote its leases',
  lastsMs: [0, 0],
  async begin({ relays, postgres }) {
    const victim = relays.any()
    const client = await postgres.admin.connect()
    try {
      const owned = 'owner IN (SELECT id FROM outbox_relay WHERE name = $1)'
      await client.query('BEGIN')
      await client.query(`SELECT 1 FROM outbox_lease WHERE ${owned} FOR UPDATE`, [victim.name])
      victim.signal('SIGKILL')
      await client.query(`SELECT pg_sleep_until(max(leased_until) + interval '100 ms') FROM outbox_lease WHERE ${owned}`, [
        victim.name,
      ])
      await client.query(`UPDATE outbox_lease SET leased_until = clock_timestamp() + interval '1 hour' WHERE ${owned}`, [
        victim.name,
      ])
      await client.query('COMMIT')
    } finally {
      client.release(true)
    }
    return async () => {}
  },
}

/** Faults of the clocks of relays: leases go by the database's clock and by monotonic ones, so these must change nothing. */
export const clockFaults: readonly Fault[] = [
  wrongClock(
    'clock-behind',
    'a relay joins whose wall clock is an hour slow, and then jumps to half an hour fast',
    '-3600s',
    '+1800s',
  ),
  wrongClock(
    'clock-ahead',
    'a relay joins whose wall clock is two hours fast: brokers refuse its records with INVALID_TIMESTAMP, which is no fault of a message',
    '+7200s',
    '-7200s',
  ),
]
