import type { Kafka } from 'kafkajs'

/** How a client of kafkajs makes its clusters. */
export interface ClusterMaker<Cluster> {
  create(options: object): Cluster
  /** From now on the client makes its clusters so. */
  replace(create: (options: object) => Cluster): void
}

/**
 * The part of kafkajs (2.2.4) that talks to brokers, below its producer, by the name of a symbol that it does not export; undefined in a
 * version that has none.
 */
export function clusterMaker<Cluster>(kafka: Kafka): ClusterMaker<Cluster> | undefined {
  const symbol = Object.getOwnPropertySymbols(kafka).find(({ description }) => description === 'private:Kafka:createCluster')
  if (symbol === undefined) return undefined
  const makers = kafka as unknown as Record<symbol, (options: object) => Cluster>
  const create = makers[symbol]!
  return {
    create,
    replace(other) {
      makers[symbol] = other
    },
  }
}
