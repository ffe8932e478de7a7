// The transport that @platformatic/kafka serves: how it sends a batch, asks about topics, and what its errors mean. Everything else is in
// ../kafka-transport.ts. Keeps rule 2 of docs/protocol.md.

import type { Connection } from '@platformatic/kafka'
import { OutboxError } from '../../message/errors.ts'
import { within } from '../../running/within.ts'
import type { PasswordLogin } from '../access.ts'
import {
  acknowledged,
  type Fault,
  KafkaTransport,
  type KafkaTransportOptions,
  noPartition,
  type Send,
} from '../kafka-transport.ts'
import type { MskIamLogin } from '../msk-iam.ts'
import { Quotas, Throttled } from '../quotas.ts'
import type { TokenLogin } from '../token-login.ts'
import {
  metadataMaxAgeMs,
  noAnswer,
  type Outcome,
  type ProducerEpoch,
  type Transport,
  type TransportBatch,
  TransportError,
} from '../transport.ts'
import { type BytesProducer, PlatformaticClient } from './client.ts'
import { blamesTopic, platformaticOutcome, platformaticTrouble } from './errors.ts'
import { checkPackage, loadPackage } from './package.ts'
import type { ProduceResponse } from './produce.ts'

/** Options of {@link platformaticTransport}: the same as those of kafkajs, but for logins that only kafkajs knows. */
export interface PlatformaticTransportOptions extends KafkaTransportOptions {
  /**
   * Login; with `oauthbearer`, `oauthBearerProvider` is called for each login. For AWS MSK by IAM `{ mechanism: 'aws-msk-iam', region }`,
   * which needs the package aws-msk-iam-sasl-signer-js. @default no login
   */
  sasl?: PasswordLogin | TokenLogin | MskIamLogin
}

/** How often the leader of a partition is looked for before a publish gives up: once, after a change, and once more. */
const metadataRounds = 3

/** Time to load the package: on a busy machine it took longer than a broker may for its answer (ms). */
const loadTimeoutMs = 60_000

const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512', 'oauthbearer', 'aws-msk-iam']

/**
 * The way to Kafka through @platformatic/kafka: less CPU for each message than kafkajs. Used in its plain mode only, with
 * numbers of the relay: its own, and its transactions, lose records in 1.35.
 *
 * Throws OUTBOX_INVALID_OPTION, OUTBOX_TRANSPORT_PACKAGE when the package is missing or does not suit this version of Node, and
 * OUTBOX_COMPRESSION_PACKAGE without the package of the compression. Loads the client, and opens a connection, when it is used.
 *
 * @example
 * ```ts
 * const relay = createRelay({ databaseUrl, transport: platformaticTransport({ brokers: ['localhost:9092'] }) })
 * ```
 */
export function platformaticTransport(options: PlatformaticTransportOptions): Transport {
  const transport = new PlatformaticTransport(options)
  if (options.sasl && !mechanisms.includes(options.sasl.mechanism)) {
    const remedy = `Use one of ${mechanisms.join(', ')}, or the kafkajs transport.`
    throw new OutboxError('INVALID_OPTION', 'The platformatic transport does not know this login.', { field: 'sasl', remedy })
  }
  checkPackage()
  return transport
}

class PlatformaticTransport extends KafkaTransport<PlatformaticClient, PlatformaticClient> {
  override readonly name = 'platformatic'
  readonly #quotas = new Quotas()

  protected override async load(signal: AbortSignal): Promise<void> {
    await within(loadPackage(), loadTimeoutMs, noAnswer, signal)
  }

  protected override openSender(brokers: string[]): PlatformaticClient {
    const { clientId, connectionTimeoutMs } = this.settings
    return new PlatformaticClient(
      { brokers, clientId, connectionTimeoutMs, compressor: this.compressor, ...this.access },
      this.alive,
    )
  }

  protected override openAsker(brokers: string[]): PlatformaticClient {
    return this.openSender(brokers)
  }

  protected override async answered({ producer }: PlatformaticClient): Promise<void> {
    await (await producer).metadata({ topics: [] })
  }

  protected override async count({ producer }: PlatformaticClient, topic: string): Promise<number> {
    const { topics } = await (await producer).metadata({ topics: [topic], forceUpdate: true })
    return topics.get(topic)!.partitionsCount
  }

  protected override async countAll(asker: PlatformaticClient, topics: readonly string[]): Promise<Map<string, number | Error>> {
    const broker = await anyBroker(await asker.producer)
    return asker.countPartitions(broker, topics)
  }

  protected override async askProducerId(asker: PlatformaticClient): Promise<ProducerEpoch> {
    const broker = await anyBroker(await asker.producer)
    return asker.newProducerId(broker)
  }

  protected override async askClusterId(asker: PlatformaticClient): Promise<string | undefined> {
    const broker = await anyBroker(await asker.producer)
    return asker.clusterId(broker)
  }

  protected override async send(sender: PlatformaticClient, send: Send): Promise<{ outcome: Outcome; doubtful: boolean }> {
    const sent = await this.#send(sender, send)
    const { outcome } = sent
    const throttled = outcome.kind === 'not-written' && outcome.scope === 'throttled'
    if (outcome.kind !== 'acked' && !throttled) sender.stale.add(send.batch.topic)
    return sent
  }

  async #send(sender: PlatformaticClient, send: Send): Promise<{ outcome: Outcome; doubtful: boolean }> {
    const { batch, fuse } = send
    try {
      const leader = await this.#leader(sender, await sender.producer, batch)
      if (!leader) return { outcome: noPartition(batch), doubtful: false }
      const answers = await this.#produce(leader, sender, send)
      const outcome = acknowledged(batch, answers.flatMap(toAcknowledgements))
      return { outcome, doubtful: outcome.kind !== 'acked' }
    } catch (error) {
      if (error instanceof Throttled) return { outcome: error.outcome, doubtful: false }
      const trouble = platformaticTrouble(error)
      const outcome = platformaticOutcome(trouble, fuse.used)
      return { outcome, doubtful: outcome.kind === 'unknown' && !trouble.answer }
    }
  }

  /** One request, as soon as the broker's quota allows. */
  async #produce(
    { node, connection }: Leader,
    sender: PlatformaticClient,
    { batch, fuse, replicaTimeoutMs }: Send,
  ): Promise<ProduceResponse['responses']> {
    const quota = this.#quotas.of(node)
    const request = [fuse]
    await quota.enter(request)
    let throttleMs = 0
    try {
      const response = await sender.produce(connection, batch, fuse, replicaTimeoutMs)
      // What does not answer the request is not believed.
      if (response.responses.length > 0) throttleMs = response.throttleTimeMs
      return response.responses
    } finally {
      quota.leave(request, throttleMs)
    }
  }

  /** The leader of the partition; undefined if there is no such partition. */
  async #leader(sender: PlatformaticClient, producer: BytesProducer, batch: TransportBatch): Promise<Leader | undefined> {
    const { topic, partition } = batch
    let fresh = sender.stale.delete(topic)
    for (let round = 1; round <= metadataRounds; round++) {
      const age = fresh ? { forceUpdate: true } : { metadataMaxAge: metadataMaxAgeMs }
      const { brokers, topics } = await producer.metadata({ topics: [topic], ...age })
      const leader = topics.get(topic)!.partitions[partition]?.leader
      if (leader === undefined && fresh) return undefined
      const broker = leader === undefined ? undefined : brokers.get(leader)
      const connection = broker && (await producer.connections.get(broker))
      if (leader !== undefined && connection?.isConnected()) return { node: leader, connection }
      fresh = true
    }
    throw new TransportError('LEADER_NOT_FOUND', 'producer', 'No connection to the leader of the partition.')
  }

  protected override fault(error: unknown): Fault & { ofTopic: boolean } {
    const trouble = platformaticTrouble(error)
    return { ...trouble, ofTopic: blamesTopic(trouble) }
  }
}

/** A connection to a broker that answers. */
async function anyBroker(producer: BytesProducer): Promise<Connection> {
  const { brokers } = await producer.metadata({ topics: [] })
  return producer.connections.getFirstAvailable([...brokers.values()])
}

/** The broker that leads a partition. */
interface Leader {
  node: number
  connection: Connection
}

const toAcknowledgements = ({ name, partitionResponses }: ProduceResponse['responses'][number]) =>
  partitionResponses.map(({ index, baseOffset }) => ({ topic: name, partition: index, baseOffset }))
