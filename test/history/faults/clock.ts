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
