import { type Codecs, type FetchedRecord, isOldFormat, readBatches } from './record-batch-reader.ts'
import { Unreadable, WireCursor } from './wire-cursor.ts'

/**
 * Reads answers to kafkajs' fetch requests (https://kafka.apache.org/41/design/protocol/#The_Messages_Fetch), in the versions 4 to 11: all
 * that have record batches and that kafkajs asks for. Called by `guarded-kafka.ts`; gives what kafkajs' own decoder gives.
 */

/** The versions that are read here. */
export const fetchVersions = { first: 4, last: 11 }

/** Versions from which on an answer has more fields, or another meaning of its throttle time. */
const since = { logStart: 5, session: 7, throttledByClient: 8, replica: 11 }

/** The fewest bytes of an entry. */
const least = { topic: 6, partition: 30, transaction: 16 }

/** One partition of an answer. 64-bit numbers are decimal. */
export interface FetchedPartition {
  partition: number
  errorCode: number
  highWatermark: string
  lastStableOffset: string
  /** kafkajs' name of the offset at which the log begins. */
  lastStartOffset?: string
  abortedTransactions: { producerId: string; firstOffset: string }[]
  preferredReadReplica?: number
  messages: FetchedRecord[]
}

/** An answer, in the shape of kafkajs' decoder. Times are milliseconds. */
export interface FetchAnswer {
  throttleTime: number
  clientSideThrottleTime?: number
  errorCode?: number
  sessionId?: number
  responses: { topicName: string | null; partitions: FetchedPartition[] }[]
}

/** A partition whose records are still bytes. */
type Raw = Omit<FetchedPartition, 'messages'> & { bytes: Buffer }

/**
 * Reads an answer; undefined if a partition of it holds records of a format before 2.
 *
 * @throws Unreadable, with topic and partition in its message.
 */
export async function readFetchAnswer(bytes: Buffer, version: number, codecs: Codecs): Promise<FetchAnswer | undefined> {
  const cursor = new WireCursor(bytes)
  const head = readHead(cursor, version)
  const topics = cursor.list(least.topic, () => ({
    topicName: cursor.text(),
    partitions: cursor.list(least.partition, () => readPartition(cursor, version)),
  }))
  if (topics.some(({ partitions }) => partitions.some((one) => isOldFormat(one.bytes)))) return undefined
  const responses: FetchAnswer['responses'] = []
  for (const { topicName, partitions } of topics) {
    const read: FetchedPartition[] = []
    for (const { bytes, ...one } of partitions) {
      read.push({ ...one, messages: await readBatches(bytes, codecs).catch((error) => blame(error, topicName, one.partition)) })
    }
    responses.push({ topicName, partitions: read })
  }
  return { ...head, responses }
}

function readHead(cursor: WireCursor, version: number): Omit<FetchAnswer, 'responses'> {
  const throttleMs = cursor.int32()
  // From here on the broker has not waited itself, and asks the client to.
  const throttling =
    version >= since.throttledByClient ? { throttleTime: 0, clientSideThrottleTime: throttleMs } : { throttleTime: throttleMs }
  if (version < since.session) return throttling
  return { ...throttling, errorCode: cursor.int16(), sessionId: cursor.int32() }
}

function readPartition(cursor: WireCursor, version: number): Raw {
  const offset = () => String(cursor.int64())
  const transaction = () => ({ producerId: offset(), firstOffset: offset() })
  return {
    partition: cursor.int32(),
    errorCode: cursor.int16(),
    highWatermark: offset(),
    lastStableOffset: offset(),
    ...(version >= since.logStart ? { lastStartOffset: offset() } : {}),
    abortedTransactions: cursor.list(least.transaction, transaction),
    ...(version >= since.replica ? { preferredReadReplica: cursor.int32() } : {}),
    bytes: cursor.raw(Math.max(0, cursor.int32())),
  }
}

function blame(error: unknown, topic: string | null, partition: number): never {
  if (!(error instanceof Unreadable)) throw error
  const at = error.offset === undefined ? '' : ` at offset ${error.offset}`
  throw new Unreadable(`Partition ${partition} of the topic ${topic}${at}: ${error.message}`, error.offset, error.cause)
}
