import type { Kafka } from 'kafkajs'
import { OutboxError } from '../../message/errors.ts'

/** How a client of kafkajs makes its clusters. */
export interface ClusterMaker<Cluster> {
  create(options: object): Cluster
  /** From now on the client, or another one that is derived from it, makes its clusters so. */
  replace(create: (options: object) => Cluster, on?: Kafka): void
}

/**
 * The part of kafkajs (2.2.4) that talks to brokers, below its producer, by the name of a symbol that it does not export. Throws
 * OUTBOX_TRANSPORT_PACKAGE in a version that has none.
 */
export function clusterMaker<Cluster>(kafka: Kafka): ClusterMaker<Cluster> {
  const symbol = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === 'private:Kafka:createCluster')
  if (symbol === undefined) throw anotherVersion()
  const makers = (of: Kafka) => of as unknown as Record<symbol, (options: object) => Cluster>
  const create = makers(kafka)[symbol]!
  return {
    create,
    replace(other, on = kafka) {
      makers(on)[symbol] = other
    },
  }
}

const anotherVersion = (): OutboxError =>
  new OutboxError(
    'TRANSPORT_PACKAGE',
    'The kafkajs that is installed is another version than 2.2.4, whose insides the transport knows.',
    {
      field: 'transport',
      remedy: 'Take the override of kafkajs out of package.json and install again, or use another transport.',
    },
  )
