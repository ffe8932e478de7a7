import { createHash } from 'node:crypto'

/** The mark of a batch whose cluster nobody knows. */
export const noCluster = '00000000'

/** Stands for the id of a Kafka cluster in a recorded batch: eight hexadecimal digits. */
export const clusterMark = (id: string | undefined): string =>
  id === undefined ? noCluster : createHash('sha256').update(id).digest('hex').slice(0, noCluster.length)

/** Whether these marks are of two clusters. */
export const areTwo = (one: string, other: string): boolean => one !== noCluster && other !== noCluster && one !== other
