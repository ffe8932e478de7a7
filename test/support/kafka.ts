import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { classesFile, kafkaJava } from './kafka-java.ts'
import { type BrokerProperties, type KafkaNode, kafkaNode, smallBroker } from './kafka-node.ts'
import { freePort } from './ports.ts'

const run = promisify(execFile)
const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** A Kafka broker for tests and demo. */
export interface KafkaServer extends KafkaNode {
  /** host:port */
  brokers: string
  /** Stops the broker and removes its log. */
  remove(): Promise<void>
}

/** Folder with the jars of Apache Kafka; Maven fetches them once. `KAFKA_LIBS` names a folder that is there already. */
export async function kafkaJars(): Promise<string> {
  if (process.env.KAFKA_LIBS) return process.env.KAFKA_LIBS
  const jars = join(root, '.cache', 'kafka-4.1.1')
  if (existsSync(jars)) return jars
  const arriving = `${jars}.${process.pid}`
  await mkdir(arriving, { recursive: true })
  await run('mvn', ['-q', '-f', join(root, 'pom.xml'), 'dependency:copy-dependencies', `-DoutputDirectory=${arriving}`])
  await rename(arriving, jars)
  await keepClasses(jars)
  return jars
}

/** Starts a broker once, so that the next ones start quickly. */
async function keepClasses(jars: string): Promise<void> {
  const arriving = `${classesFile(jars)}.${process.pid}`
  const broker = await startKafka({}, { java: [`-XX:ArchiveClassesAtExit=${arriving}`] })
  await broker.stop()
  await broker.remove()
  await rename(arriving, classesFile(jars))
}

/** Runs a class of Kafka's own tools, for example `org.apache.kafka.tools.consumer.ConsoleConsumer`, and gives what it prints. */
export async function kafkaTool(main: string, args: string[], input = ''): Promise<string> {
  const running = run('java', [...kafkaJava(await kafkaJars()), main, ...args], { maxBuffer: 64 * 1024 * 1024 })
  running.child.stdin!.end(input)
  const { stdout } = await running
  return stdout
}

/**
 * Starts Apache Kafka (KRaft, one node) on free ports of 127.0.0.1; takes about three seconds. `host`: its name for that address, which
 * clients are told; `port`: instead of a free one; `format`, `java`: more arguments of the format, and of the broker's `java`.
 */
export async function startKafka(
  settings: BrokerProperties = {},
  { host = '127.0.0.1', port: given = 0, format = [] as readonly string[], java = [] as readonly string[] } = {},
): Promise<KafkaServer> {
  const jars = await kafkaJars()
  const [port, controller] = [given || (await freePort()), await freePort()]
  const dir = await mkdtemp(join(tmpdir(), 'outbox-kafka-'))
  const properties = { ...smallBroker, ...onlyBroker(`${host}:${port}`, controller, join(dir, 'log')), ...settings }
  const node = await kafkaNode({ jars, dir, properties, port, format: ['--standalone', ...format], heapMb: 512, java })
  const remove = async () => {
    await node.stop('SIGKILL')
    await rm(dir, { recursive: true, force: true })
  }
  try {
    await node.start()
  } catch (error) {
    // Nobody has it yet who could end it.
    await remove()
    throw error
  }
  return { ...node, brokers: `${host}:${port}`, remove }
}

const onlyBroker = (address: string, controller: number, log: string): BrokerProperties => ({
  'process.roles': 'broker,controller',
  'node.id': 1,
  'controller.quorum.bootstrap.servers': `127.0.0.1:${controller}`,
  listeners: `PLAINTEXT://${address},CONTROLLER://127.0.0.1:${controller}`,
  'advertised.listeners': `PLAINTEXT://${address}`,
  'controller.listener.names': 'CONTROLLER',
  'inter.broker.listener.name': 'PLAINTEXT',
  'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
  'log.dirs': log,
  'offsets.topic.replication.factor': 1,
  'transaction.state.log.replication.factor': 1,
  'transaction.state.log.min.isr': 1,
  'share.coordinator.state.topic.replication.factor': 1,
  'share.coordinator.state.topic.min.isr': 1,
})
