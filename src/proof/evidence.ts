import type {
  Attempt,
  BatchKey,
  Dump,
  History,
  LeaseName,
  LedgerRow,
  MonotonicMs,
  ReadRecord,
  TopicState,
  Trace,
  WrittenMessage,
} from './history.ts'

/** A message with everything that its writer knew about it. */
export interface Known {
  message: WrittenMessage
  attempt: Attempt
  /** Position among the messages of its transaction. */
  index: number
}

/** A dump with the copies of every message, in the order of the log. */
export interface ReadDump {
  dump: Dump
  copies: ReadonlyMap<string, readonly ReadRecord[]>
}

/** A history in the shape in which the checks ask. */
export interface Evidence {
  history: History
  topics: ReadonlyMap<string, TopicState>
  written: ReadonlyMap<string, Known>
  ledger: ReadonlyMap<string, LedgerRow>
  dumps: readonly ReadDump[]
  /** Every publish of every relay; empty without traces. */
  sends: readonly Send[]
  /** The publishes of each message, by time. */
  sendsOf: ReadonlyMap<string, readonly Send[]>
}

/** Prepares a history for the checks. */
export function evidenceOf(history: History): Evidence {
  const written = new Map<string, Known>()
  for (const attempt of history.attempts) {
    for (const [index, message] of attempt.messages.entries()) written.set(message.id, { message, attempt, index })
  }
  const sends = (history.traces ?? []).flatMap(sendsOf).sort((a, b) => a.at - b.at)
  const byMessage = new Map<string, Send[]>()
  for (const send of sends) for (const id of send.ids) listed(byMessage, id).push(send)
  return {
    history,
    topics: new Map(history.topics.map((topic) => [topic.name, topic])),
    written,
    ledger: new Map(history.ledger.map((row) => [row.id, row])),
    dumps: history.dumps.map((dump) => ({ dump, copies: copiesOf(dump.records) })),
    sends,
    sendsOf: byMessage,
  }
}

function copiesOf(records: readonly ReadRecord[]): Map<string, ReadRecord[]> {
  const copies = new Map<string, ReadRecord[]>()
  for (const record of records) if (record.id !== null) listed(copies, record.id).push(record)
  return copies
}

/** The list of that name, made when it is first asked for. */
export function listed<K, V>(map: Map<K, V[]>, name: K): V[] {
  let list = map.get(name)
  if (!list) {
    list = []
    map.set(name, list)
  }
  return list
}

/** Where a record stands, for people. */
export const placeOf = (record: ReadRecord): string => `${record.topic}/${record.partition}@${record.offset}`

/** First copy of every message of each topic and key, in the order of the log; only where one partition held the key all the time. */
export function firstsByKey({ dump, copies }: ReadDump, topics: Evidence['topics']): Map<string, ReadRecord[]> {
  const firsts = new Map<string, ReadRecord[]>()
  for (const record of dump.records) {
    const topic = topics.get(record.topic)
    // A topic that grew moves its keys; one that was deleted has lost their beginnings.
    if (!topic || topic.partitions.length > 1 || topic.deleted) continue
    if (record.id === null || copies.get(record.id)![0] !== record) continue
    listed(firsts, JSON.stringify([record.topic, record.key])).push(record)
  }
  return firsts
}

/** One publish of a relay, from its trace. */
export interface Send {
  relay: string
  at: MonotonicMs
  topic: string
  partition: number
  ids: readonly string[]
  leases: readonly LeaseName[]
  /** Of the exactly-once mode. */
  numbers?: BatchKey | undefined
  spareMs: number | null
  until: MonotonicMs
  /** `none`: the relay ended before it knew. */
  outcome: 'acked' | 'not-written' | 'unknown' | 'none'
  endedAt: MonotonicMs
  /** Offset of the first record, where it was acknowledged. */
  offset: number | null
  /** Code of another outcome. */
  code: string | null
}

/** The publishes of one relay, with their outcomes. */
export function sendsOf({ relay, lines }: Trace): Send[] {
  const byBatch = new Map<number, Send>()
  for (const line of lines) {
    if (line.what === 'publishes') {
      const { at, topic, partition, ids, leases, numbers, spareMs, until } = line
      const open = { outcome: 'none', endedAt: Number.POSITIVE_INFINITY, offset: null, code: null } as const
      byBatch.set(line.batch, { relay, at, topic, partition, ids, leases, numbers, spareMs, until, ...open })
    } else if (line.what === 'published') {
      Object.assign(byBatch.get(line.batch)!, { outcome: line.outcome, endedAt: line.at, offset: line.offset, code: line.code })
    }
  }
  return [...byBatch.values()]
}

/** Whether the records of a publish may stand in the log. */
export const mayBeInLog = (send: Send): boolean => send.outcome !== 'not-written'
