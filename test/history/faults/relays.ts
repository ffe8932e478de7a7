import type { Fault, Ground } from '../fault.ts'

/** Calls of the ports at which a relay may die, each before and after. */
const calls = [
  'fetch',
  'mark',
  'settle',
  'publish',
  'renew',
  'take',
  'beat',
  'blockedKeys',
  'release',
  'retake',
  'partitions',
  'connect',
]

/** The same in the exactly-once mode, with the steps of its protocol. */
const callsOfExactlyOnce = ['record', 'publish', 'batchesOf', 'batchState', 'settleUnlocked', 'search', 'producerId', ...calls]

const failpointIn = (ground: Ground): string =>
  `${pick(['before', 'after'], ground)} ${pick(ground.exactlyOnce ? callsOfExactlyOnce : calls, ground)}`

const pick = <T>(list: readonly T[], { random }: Ground): T => list[Math.floor(random() * list.length)]!

const nothing = async () => {}

/** Faults of relay processes. */
export const relayFaults: readonly Fault[] = [
  {
    name: 'relay-sigkill',
    what: 'a relay is killed at a random moment, and started again',
    lastsMs: [0, 0],
    async begin({ relays }) {
      const victim = relays.any()
      victim.signal('SIGKILL')
      await victim.ended()
      return nothing
    },
  },
  {
    name: 'relay-dies-at-failpoint',
    what: 'a relay kills itself right before or after a call of its store or its transport (fetch, publish, settle, renew, …)',
    lastsMs: [1_000, 5_000],
    async begin(ground) {
      const victim = ground.relays.any()
      const failpoint = failpointIn(ground)
      ground.note(`${victim.name} dies ${failpoint}`)
      victim.dieAt(failpoint)
      // A call that does not come (a release, a retake) leaves a relay armed: it dies at last by the in-flight rows of the torture.
      return async () => {
        if (victim.alive()) victim.signal('SIGKILL')
        await victim.ended()
      }
    },
  },
  {
    name: 'relay-stops-at-failpoint',
    what: 'a relay stops itself by SIGSTOP right before or after such a call, for longer than its lease, and goes on (SIGCONT)',
    lastsMs: [3_500, 9_000],
    async begin(ground) {
      const victim = ground.relays.any()
      const failpoint = failpointIn(ground)
      ground.note(`${victim.name} stops ${failpoint}`)
      return victim.stopAt(failpoint)
    },
  },
  {
    name: 'relay-sigstop',
    what: 'a relay is frozen by SIGSTOP for longer than its lease, and goes on as if nothing had been (SIGCONT)',
    lastsMs: [3_500, 9_000],
    async begin({ relays }) {
      const victim = relays.any()
      victim.signal('SIGSTOP')
      return async () => victim.signal('SIGCONT')
    },
  },
  {
    name: 'relay-event-loop',
    what: 'the event loop of a relay is blocked, for less and for more than its lease',
    lastsMs: [0, 0],
    async begin(ground) {
      const ms = 500 + 5_500 * ground.random()
      ground.relays.any().block(ms)
      return () => new Promise((resolve) => setTimeout(resolve, ms))
    },
  },
  {
    name: 'relay-sigterm',
    what: 'a relay is told to stop, finishes what it has in flight and gives its leases back; another one is started',
    lastsMs: [0, 0],
    async begin({ relays }) {
      const victim = relays.any()
      victim.signal('SIGTERM')
      return () => endOf(victim)
    },
  },
  {
    name: 'relay-scale',
    what: 'the relays become six, then one, then as many as before',
    lastsMs: [3_000, 8_000],
    async begin({ relays }) {
      const before = relays.all().length
      await relays.scale(6)
      return async () => {
        await relays.scale(1)
        await relays.scale(Math.max(2, before))
      }
    },
  },
]

/** A port that nothing listens on (discard). */
const nowhere = '127.0.0.1:9'

/** Relays that are cut off at present: of two each could give its buckets up to the other. */
const cutOffNow = new Set<string>()

/** One more relay joins, which never reaches Kafka. */
const withoutKafka = (name: string, what: string, lastsMs: Fault['lastsMs'], withinMs: number): Fault => ({
  name,
  what,
  lastsMs,
  flow: { withinMs },
  async begin({ relays, note }) {
    if (cutOffNow.size > 0) {
      note(`${name}: there is one already`)
      return nothing
    }
    cutOffNow.add('starting')
    const relay = await relays.startWith({ KAFKA_BROKERS: nowhere })
    note(`${name}: ${relay.name}`)
    return async () => {
      relay.signal('SIGTERM')
      await endOf(relay)
      cutOffNow.clear()
    }
  },
})

/** For the broken relays that keep buckets with which they can do nothing. */
export const cutOff: Fault = withoutKafka(
  'relay-cut-off',
  'one more relay joins, which reaches the database and never Kafka: after three leases it leaves its buckets to the others',
  [28_000, 32_000],
  16_000,
)

/** A relay that no broker has answered for one lease time gives its buckets back, in flight first. */
export const neverAnswered: Fault = withoutKafka(
  'relay-without-kafka',
  'one more relay joins for a short while, which reaches the database and never Kafka',
  [4_000, 10_000],
  12_000,
)

/** A relay that another fault has frozen cannot stop: anyone who wants it gone has to kill it, as a process manager does. */
async function endOf(victim: { ended(): Promise<void>; signal(signal: NodeJS.Signals): void }): Promise<void> {
  const timer = setTimeout(() => victim.signal('SIGKILL'), 15_000)
  await victim.ended()
  clearTimeout(timer)
}
