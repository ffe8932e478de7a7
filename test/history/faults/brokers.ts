import { limitProducers } from '../../support/kafka-quota.ts'
import type { Broker, Fault, Ground, Heal } from '../fault.ts'

/** Brokers that a fault has stopped or frozen: two faults that start the same broker would start it twice. */
const taken = new WeakSet<Broker>()

/** Takes one broker that no other fault has, breaks it, and repairs it at the heal. */
async function onOne(
  ground: Ground,
  name: string,
  fails: (it: Broker) => unknown,
  mends: (it: Broker) => unknown,
): Promise<Heal> {
  const free = ground.kafka.brokers.filter((broker) => !taken.has(broker))
  const broker = free[Math.floor(ground.random() * free.length)]
  if (!broker) {
    ground.note(`${name}: other faults have all brokers`)
    return async () => {}
  }
  taken.add(broker)
  ground.note(`${name}: broker ${broker.id}`)
  try {
    await fails(broker)
  } catch (error) {
    taken.delete(broker)
    throw error
  }
  // Its own flag: a heal that is tried again must not give away a broker that another fault has taken since.
  let mended = false
  return async () => {
    if (mended) return
    await mends(broker)
    mended = true
    taken.delete(broker)
  }
}

/** A fault of one broker. */
const ofOne = (
  name: string,
  what: string,
  lastsMs: Fault['lastsMs'],
  fails: (it: Broker) => unknown,
  mends: (it: Broker) => unknown,
): Fault => ({ name, what, lastsMs, begin: (ground) => onOne(ground, name, fails, mends) })

const stops = (signal: 'SIGTERM' | 'SIGKILL') => (broker: Broker) => broker.stop(signal)
const starts = (broker: Broker) => broker.start()
const signals = (signal: 'SIGSTOP' | 'SIGCONT') => (broker: Broker) => broker.signal(signal)

const [killed, stopped, frozen] = [
  'a broker is killed and started again; its partitions get other leaders',
  'a broker is stopped in order and started again; its partitions get other leaders',
  'a broker is frozen by SIGSTOP, and goes on as if nothing had been (SIGCONT)',
]

/** Faults of broker processes and of their replicas. */
export const brokerFaults: readonly Fault[] = [
  ofOne('broker-sigkill', killed, [500, 8_000], stops('SIGKILL'), starts),
  ofOne('broker-sigterm', stopped, [500, 8_000], stops('SIGTERM'), starts),
  ofOne('broker-sigstop', frozen, [1_000, 10_000], signals('SIGSTOP'), signals('SIGCONT')),
  {
    name: 'kafka-leaders-move',
    what: 'the replicas of a topic change places; its partitions get other leaders while all brokers live',
    lastsMs: [0, 0],
    async begin({ admin, topics, random }) {
      const topic = topics.steady[Math.floor(random() * topics.steady.length)]!
      const { topics: found } = await admin.fetchTopicMetadata({ topics: [topic] })
      const partitionAssignment = found[0]!.partitions.map(({ partitionId, replicas }) => ({
        partition: partitionId,
        replicas: [...replicas.slice(1), replicas[0]!],
      }))
      await admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment }], timeout: 30_000 })
      return async () => {}
    },
  },
  {
    name: 'kafka-broken-isr',
    what: 'min.insync.replicas of a topic is 3 while one of its three brokers is down: every send is refused with NOT_ENOUGH_REPLICAS',
    lastsMs: [2_000, 8_000],
    async begin(ground) {
      const topic = ground.topics.steady[0]!
      const mend = await onOne(ground, 'kafka-broken-isr', stops('SIGTERM'), starts)
      await setReplicas(ground, topic, '3').catch((error) => ground.note(`kafka-broken-isr: ${error}`))
      return async () => {
        await mend()
        await setReplicas(ground, topic)
      }
    },
  },
  {
    name: 'kafka-quota',
    what: 'every client may send 20 kB a second to a broker, which then answers with a throttle time',
    lastsMs: [3_000, 8_000],
    async begin({ kafka }) {
      // Any broker hands it on to the controller; one that another fault has does not answer, and the next try asks another.
      let turn = 0
      const direct = kafka.direct.split(',')
      const set = (bytesPerSecond: number | undefined) => limitProducers(direct[turn++ % direct.length]!, bytesPerSecond)
      await set(20_000)
      return () => set(undefined)
    },
  },
]

const topicResource = 2

/** Sets `min.insync.replicas` of a topic, or gives it the broker's own again. */
async function setReplicas({ admin }: Ground, topic: string, least?: string): Promise<void> {
  const configEntries = least === undefined ? [] : [{ name: 'min.insync.replicas', value: least }]
  await admin.alterConfigs({ validateOnly: false, resources: [{ type: topicResource, name: topic, configEntries }] })
}
