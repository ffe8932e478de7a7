import { chmod, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Broker, KafkaCluster } from '../history/fault.ts'
import { kafkaJars } from './kafka.ts'
import { type BrokerProperties, kafkaNode, smallBroker } from './kafka-node.ts'
import { freePort } from './ports.ts'
import { startTcpProxy } from './tcp-proxy.ts'

/** Ports of one node. */
interface Ports {
  /** Listener of the clients, behind the proxy. */
  client: number
  /** Listener of the tests' own clients, past the proxy. */
  direct: number
  /** Listener of the other brokers. */
  internal: number
  controller: number
}

/**
 * Starts Apache Kafka with three nodes, each broker and controller: replication 3, `min.insync.replicas` 2, and a proxy in front of the
 * listener that clients are told. ACLs are in force for those clients (the user ANONYMOUS); what no ACL speaks of is allowed.
 */
export async function startKafkaCluster(): Promise<KafkaCluster> {
  const jars = await kafkaJars()
  const format = (await hasElr(jars)) ? withoutElr : []
  const parent = await mkdtemp(join(tmpdir(), 'outbox-cluster-'))
  await chmod(parent, 0o755)
  const ids = [1, 2, 3]
  const ports: Ports[] = []
  for (const _ of ids) {
    const [client, direct, internal, controller] = [await freePort(), await freePort(), await freePort(), await freePort()]
    ports.push({ client, direct, internal, controller })
  }
  const brokers = await Promise.all(
    ids.map(async (id): Promise<Broker> => {
      const dir = join(parent, `node-${id}`)
      await mkdir(dir)
      const own = ports[id - 1]!
      const proxy = await startTcpProxy({ port: own.client })
      const properties = { ...smallBroker, ...quickFailover, ...nodeOf(id, ports, proxy.port, join(dir, 'log')) }
      const node = await kafkaNode({ jars, dir, properties, port: own.client, format, heapMb: 256 })
      return { ...node, id, address: `127.0.0.1:${proxy.port}`, proxy }
    }),
  )
  const remove = async () => {
    await Promise.all(brokers.map((broker) => broker.stop('SIGKILL')))
    await Promise.all(brokers.map(({ proxy }) => proxy.close()))
    await rm(parent, { recursive: true, force: true })
  }
  try {
    // None opens its port before the three have agreed on a controller.
    await Promise.all(brokers.map((broker) => broker.start()))
  } catch (error) {
    // Where one misses its port, nobody has the others yet who could end them.
    await remove()
    throw error
  }
  return {
    brokers,
    bootstrap: brokers.map(({ address }) => address).join(),
    direct: ports.map(({ direct }) => `127.0.0.1:${direct}`).join(),
    remove,
  }
}

/**
 * A partition whose replicas have all died takes the one that was last in sync as its leader when that comes back. With "eligible leader
 * replicas", on in new clusters of Kafka 4.1, it stays without one until somebody orders an unclean election: records that a killed broker had
 * not written to its disk might be gone. Overlapping faults would end a run, although these disks do not lose power.
 */
const withoutElr = ['--feature', 'eligible.leader.replicas.version=0']

/** Kafka 3 does not know them (`KAFKA_LIBS` may name its jars). */
const hasElr = async (jars: string): Promise<boolean> => !(await readdir(jars)).some((name) => /^kafka_2\.\d+-[0-3]\./.test(name))

/** A node that is gone is found out within seconds instead of half a minute, and a stopped one leaves at once. */
const quickFailover: BrokerProperties = {
  'broker.heartbeat.interval.ms': 500,
  'broker.session.timeout.ms': 3_000,
  'replica.lag.time.max.ms': 3_000,
  // Leaders go back to the first replica by themselves, so that changing places makes them move.
  'leader.imbalance.check.interval.seconds': 3,
  'leader.imbalance.per.broker.percentage': 0,
  'controller.quorum.election.timeout.ms': 1_000,
  'controller.quorum.fetch.timeout.ms': 2_000,
  'default.replication.factor': 3,
  'min.insync.replicas': 2,
  'offsets.topic.replication.factor': 3,
  'transaction.state.log.replication.factor': 3,
  'transaction.state.log.min.isr': 2,
  'share.coordinator.state.topic.replication.factor': 3,
  'share.coordinator.state.topic.min.isr': 2,
}

const login =
  'org.apache.kafka.common.security.plain.PlainLoginModule required username="broker" password="broker" user_broker="broker";'

/** The brokers among themselves are somebody: until the ACLs are loaded, only a super user may take part in the election. */
const brokerLogin: BrokerProperties = {
  'sasl.enabled.mechanisms': 'PLAIN',
  'sasl.mechanism.inter.broker.protocol': 'PLAIN',
  'sasl.mechanism.controller.protocol': 'PLAIN',
  'listener.name.internal.plain.sasl.jaas.config': login,
  'listener.name.controller.plain.sasl.jaas.config': login,
  'super.users': 'User:broker',
}

function nodeOf(id: number, all: readonly Ports[], advertised: number, log: string): BrokerProperties {
  const { client, direct, internal, controller } = all[id - 1]!
  return {
    'process.roles': 'broker,controller',
    'node.id': id,
    'controller.quorum.voters': all.map((node, at) => `${at + 1}@127.0.0.1:${node.controller}`).join(),
    listeners: `CLIENT://127.0.0.1:${client},DIRECT://127.0.0.1:${direct},INTERNAL://127.0.0.1:${internal},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `CLIENT://127.0.0.1:${advertised},DIRECT://127.0.0.1:${direct},INTERNAL://127.0.0.1:${internal}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'INTERNAL',
    'listener.security.protocol.map': 'CLIENT:PLAINTEXT,DIRECT:PLAINTEXT,INTERNAL:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT',
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'allow.everyone.if.no.acl.found': 'true',
    ...brokerLogin,
    'log.dirs': log,
  }
}
