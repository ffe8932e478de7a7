import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { kafkaJava } from './kafka-java.ts'
import { portOpen } from './ports.ts'

const run = promisify(execFile)

/** Settings of a broker, as lines of its server.properties. */
export type BrokerProperties = Record<string, string | number>

/** One process of Apache Kafka. */
export interface KafkaNode {
  /** Starts it; resolves when `port` is open. */
  start(): Promise<void>
  /** Stops it and resolves with its end; its log stays. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Freezes it (SIGSTOP) or lets it go on (SIGCONT). */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void
}

/** What a node needs. */
export interface NodePlan {
  jars: string
  /** Folder of the node's own. */
  dir: string
  properties: BrokerProperties
  /** Port that is open when the node serves. */
  port: number
  /** Arguments of the format: `--standalone` for the only node of a cluster. */
  format: readonly string[]
  heapMb: number
  /** More arguments of `java`. */
  java?: readonly string[]
}

const clusterId = '4L6g3nShT-eMCtK--X86sw'

/** Formats the log folder of a node that is yet to be started. */
export async function kafkaNode({ jars, dir, properties, port, format, heapMb, java = [] }: NodePlan): Promise<KafkaNode> {
  const file = join(dir, 'server.properties')
  const lines = Object.entries(properties).map(([name, value]) => `${name}=${value}`)
  await writeFile(file, lines.join('\n'))
  const args = ['format', ...format, '--ignore-formatted', '-t', clusterId, '-c', file]
  await run('java', ['-Xmx128m', ...kafkaJava(jars), 'kafka.tools.StorageTool', ...args])
  // One that has not opened its port in time still runs: a second process would fight for its folder.
  const runs = (it: ChildProcess | undefined): it is ChildProcess => it?.exitCode === null && it.signalCode === null
  let child: ChildProcess | undefined
  return {
    async start() {
      if (runs(child)) return portOpen(port, 60_000)
      const flags = ['-Xms128m', `-Xmx${heapMb}m`, '-XX:+UseSerialGC', `-Dkafka.logs.dir=${dir}`, ...java]
      child = spawn('java', [...flags, ...kafkaJava(jars), 'kafka.Kafka', file], { stdio: 'ignore' })
      // One that cannot serve ends, and says why only in a log that goes with it.
      const ended = once(child, 'exit').then(([code]) =>
        Promise.reject(new Error(`Kafka ended with ${code}, port ${port} unopened.`)),
      )
      await Promise.race([portOpen(port, 60_000), ended])
    },
    async stop(signal = 'SIGTERM') {
      if (!runs(child)) return
      const gone = new Promise((resolve) => child!.once('exit', resolve))
      child.kill(signal)
      await gone
    },
    signal: (signal) => void child?.kill(signal),
  }
}

/** What all brokers of the tests have in common: small, and nothing created unasked. */
export const smallBroker: BrokerProperties = {
  'num.partitions': 3,
  'auto.create.topics.enable': 'false',
  'offsets.topic.num.partitions': 1,
  'transaction.state.log.num.partitions': 1,
  'group.initial.rebalance.delay.ms': 0,
  'num.network.threads': 2,
  'num.io.threads': 2,
  'log.segment.bytes': 16_777_216,
  // The cleaner takes 128 MB of a small heap by default.
  'log.cleaner.dedupe.buffer.size': 4_194_304,
}
