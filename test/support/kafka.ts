import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { freePort, portOpen } from './ports.ts'

const run = promisify(execFile)
const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

/** A Kafka broker for tests and demo. */
export interface KafkaServer {
  /** host:port */
  brokers: string
  /** Stops the broker; its log stays. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Starts it again on the same port and log. */
  start(): Promise<void>
  /** Freezes the broker (SIGSTOP) or lets it go on (SIGCONT). */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void
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
  return jars
}

/** Runs a class of Kafka's own tools, for example `org.apache.kafka.tools.consumer.ConsoleConsumer`, and gives what it prints. */
export async function kafkaTool(main: string, args: string[]): Promise<string> {
  const { stdout } = await run('java', ['-XX:TieredStopAtLevel=1', '-cp', `${await kafkaJars()}/*`, main, ...args])
  return stdout
}

/** Starts Apache Kafka (KRaft, one node) on free ports of 127.0.0.1; takes about three seconds. */
export async function startKafka(settings: Record<string, string | number> = {}): Promise<KafkaServer> {
  const jars = await kafkaJars()
  const [port, controller] = [await freePort(), await freePort()]
  const dir = await mkdtemp(join(tmpdir(), 'outbox-kafka-'))
  const file = join(dir, 'server.properties')
  const properties = { ...brokerProperties(port, controller, join(dir, 'log')), ...settings }
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}`)
  await writeFile(file, lines.join('\n'))
  const format = ['format', '--standalone', '--ignore-formatted', '-t', '4L6g3nShT-eMCtK--X86sw', '-c', file]
  await run('java', ['-Xmx128m', '-XX:TieredStopAtLevel=1', '-cp', `${jars}/*`, 'kafka.tools.StorageTool', ...format])

  let child: ChildProcess | undefined
  const server: KafkaServer = {
    brokers: `127.0.0.1:${port}`,
    async start() {
      const flags = ['-Xms128m', '-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', `-Dkafka.logs.dir=${dir}`]
      child = spawn('java', [...flags, '-cp', `${jars}/*`, 'kafka.Kafka', file], { stdio: 'ignore' })
      await portOpen(port, 60_000)
    },
    async stop(signal = 'SIGTERM') {
      if (!child || child.exitCode !== null || child.signalCode !== null) return
      const gone = new Promise((resolve) => child!.once('exit', resolve))
      child.kill(signal)
      await gone
    },
    signal: (signal) => void child?.kill(signal),
    async remove() {
      await server.stop('SIGKILL')
      await rm(dir, { recursive: true, force: true })
    },
  }
  await server.start()
  return server
}

function brokerProperties(port: number, controller: number, log: string): Record<string, string | number> {
  return {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.bootstrap.servers': `127.0.0.1:${controller}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'controller.listener.names': 'CONTROLLER',
    'inter.broker.listener.name': 'PLAINTEXT',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'log.dirs': log,
    'num.partitions': 3,
    'auto.create.topics.enable': 'false',
    'offsets.topic.replication.factor': 1,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.replication.factor': 1,
    'transaction.state.log.min.isr': 1,
    'transaction.state.log.num.partitions': 1,
    'share.coordinator.state.topic.replication.factor': 1,
    'share.coordinator.state.topic.min.isr': 1,
    'group.initial.rebalance.delay.ms': 0,
    'num.network.threads': 2,
    'num.io.threads': 2,
    'log.segment.bytes': 16_777_216,
    // The cleaner takes 128 MB of a small heap by default.
    'log.cleaner.dedupe.buffer.size': 4_194_304,
  }
}
