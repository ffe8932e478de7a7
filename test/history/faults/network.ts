import type { Fault, Ground, ProxyMode, TcpProxy } from '../fault.ts'

/** A fault of the network: a mode of one proxy or of several, for a while. */
function network(
  name: string,
  what: string,
  lastsMs: Fault['lastsMs'],
  mode: (ground: Ground) => ProxyMode,
  proxiesOf: (ground: Ground) => readonly TcpProxy[],
): Fault {
  return {
    name,
    what,
    lastsMs,
    async begin(ground) {
      const lifts = proxiesOf(ground).map((proxy) => proxy.impose(mode(ground)))
      return async () => {
        for (const lift of lifts) lift()
      }
    },
  }
}

const postgres = ({ postgres }: Ground) => [postgres.proxy]
const allBrokers = ({ kafka }: Ground) => kafka.brokers.map(({ proxy }) => proxy)
const oneBroker = (ground: Ground) => {
  const all = allBrokers(ground)
  return [all[Math.floor(ground.random() * all.length)]!]
}

const refuse = (): ProxyMode => ({ kind: 'refuse' })
const reset = (): ProxyMode => ({ kind: 'reset' })
const blackHole = (): ProxyMode => ({ kind: 'black-hole' })
const delay = ({ random }: Ground): ProxyMode => ({ kind: 'delay', ms: 20 + 280 * random() })
const throttle = ({ random }: Ground): ProxyMode => ({ kind: 'throttle', bytesPerSecond: 20_000 + 200_000 * random() })

const slowAnswers = ({ random }: Ground): ProxyMode => ({ kind: 'slow-produce', ms: 1_000 + 5_000 * random() })

const relays = 'between relays (and half of the writers) and PostgreSQL'

/** Faults of the network in front of PostgreSQL and of Kafka. */
export const networkFaults: readonly Fault[] = [
  network('pg-refuse', `connections ${relays} are broken off, and new ones refused`, [500, 6_000], refuse, postgres),
  network('pg-reset', `connections ${relays} are reset, once`, [0, 0], reset, postgres),
  network('pg-black-hole', `nothing comes through ${relays}, and no connection breaks`, [2_000, 12_000], blackHole, postgres),
  network('pg-delay', `each packet ${relays} takes 20 to 300 ms more`, [2_000, 10_000], delay, postgres),
  network('pg-throttle', `20 to 220 kB a second ${relays}`, [2_000, 8_000], throttle, postgres),
  network('kafka-refuse', 'one broker refuses clients', [1_000, 8_000], refuse, oneBroker),
  network('kafka-reset', 'connections to one broker are reset, once', [0, 0], reset, oneBroker),
  network('kafka-black-hole', 'nothing comes through to one broker or back', [2_000, 12_000], blackHole, oneBroker),
  network('kafka-delay', 'each packet of one broker takes 20 to 300 ms more', [2_000, 10_000], delay, oneBroker),
  network('kafka-throttle', '20 to 220 kB a second to one broker and back', [2_000, 8_000], throttle, oneBroker),
  network(
    'kafka-slow-answers',
    'one broker answers Produce 1 to 6 s late; the time-out is 1.5 s',
    [3_000, 15_000],
    slowAnswers,
    oneBroker,
  ),
  network('kafka-all-refuse', 'all brokers refuse clients', [500, 5_000], refuse, allBrokers),
  network('kafka-all-black-hole', 'nothing comes through to any broker or back', [2_000, 8_000], blackHole, allBrokers),
]

/**
 * Under a lease of 3 s a relay sends for 1.5 s after it has asked for a renewal. Here it asks for the next one, after a heartbeat, when
 * that time is over, and has its answer 0.6 s later: until then it may not send. One that counts its lease from the answer sends on.
 */
export const lateAnswers: Fault = network(
  'pg-late-answers',
  `each packet ${relays} takes 300 ms more: a lease comes near its end before it is renewed`,
  [4_000, 8_000],
  () => ({ kind: 'delay', ms: 300 }),
  postgres,
)
