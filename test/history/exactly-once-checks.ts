import { type Evidence, listed, mayBeInLog, type Send } from '../../src/proof/evidence.ts'
import type { Tally } from '../../src/proof/finding.ts'
import type { BatchKey, MonotonicMs, TracedBatch } from '../../src/proof/history.ts'
import { Batches } from './recorded-batches.ts'

/** Answers of a partition that does not know the numbers of a batch: nothing was appended by this request. */
const unknownNumbers = new Set([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'DUPLICATE_SEQUENCE_NUMBER',
  'INVALID_PRODUCER_EPOCH',
  'UNKNOWN_PRODUCER_ID',
])

/** Whether the records of a send with numbers may stand in the log because of it. */
const mayBeWritten = (send: Send): boolean => mayBeInLog(send) && !unknownNumbers.has(send.code ?? '')

/**
 * The rules of the exactly-once mode, in place of those that it does not need (a send may outlast its lease, a bucket may be given back with a
 * request out, any owner deletes what any owner had acknowledged). Keeps an eye on rules 26 to 28 of docs/protocol-exactly-once.md.
 */
export function checkExactlyOnce(evidence: Evidence, tally: Tally): void {
  const batches = new Batches(evidence)
  checkRecorded(evidence, batches, tally)
  checkContents(evidence, batches, tally)
  checkFences(batches, tally)
  checkDeletes(evidence, batches, tally)
  checkWithdrawals(evidence, batches, tally)
  checkNumbersOf(evidence, batches, tally)
  checkAdoptions(evidence, batches, tally)
  checkOvertaking(evidence, batches, tally)
}

/** A batch is sent under numbers that its relay has recorded, or read from the table, with the same rows in the same order. */
function checkRecorded({ sends }: Evidence, { recordings, adoptions }: Batches, tally: Tally): void {
  const expected = 'sent only after its record was answered, or read, with the same rows in the same order'
  for (const { relay, at, numbers, ids, topic, partition } of sends) {
    const own = recordings.get(numbers ?? '')?.filter((one) => one.relay === relay && one.answeredAt <= at) ?? []
    const read = adoptions.get(numbers ?? '')?.filter((one) => one.relay === relay && one.at <= at) ?? []
    const known = [...own, ...read]
    tally.expect(
      known.some((one) => isSame(one.ids, ids)),
      () => ({
        of: `${ids.length} records of ${topic}/${partition}, ${relay}`,
        expected,
        found:
          numbers === undefined
            ? 'sent without numbers'
            : `${numbers} was ${known.length > 0 ? 'recorded with other rows' : 'not'}`,
      }),
    )
  }
}

/** Numbers have one content forever, for all relays; and no two batches have a sequence in common. */
function checkContents({ sends }: Evidence, { recordings, adoptions }: Batches, tally: Tally): void {
  const contents = new Map<BatchKey, readonly string[]>()
  const told = [...sends.map(({ numbers, ids }) => ({ batch: numbers ?? '', ids })), ...all(recordings), ...all(adoptions)]
  for (const { batch, ids } of told) {
    const known = contents.get(batch) ?? ids
    contents.set(batch, known)
    tally.expect(isSame(known, ids), () => ({
      of: batch,
      expected: 'the same rows in the same order each time',
      found: `${known.join(' ')}, and then ${ids.join(' ')}`,
    }))
  }
  const lanes = new Map<string, { batch: BatchKey; from: number; to: number }[]>()
  for (const [batch, ids] of contents) {
    const [, lane, sequence] = /^(.*)\/(\d+)$/.exec(batch) ?? []
    if (lane) listed(lanes, lane).push({ batch, from: Number(sequence), to: Number(sequence) + ids.length })
  }
  for (const parts of lanes.values()) {
    parts.sort((a, b) => a.from - b.from)
    for (const [i, { batch, from }] of parts.entries()) {
      const before = parts[i - 1]
      const expected = 'sequences that no other batch has'
      tally.expect(!before || before.to <= from, () => ({ of: batch, expected, found: `${before!.batch} has some` }))
    }
  }
}

/** A record is not made under a lease that somebody else is known to have by then. */
function checkFences({ recordings, grants }: Batches, tally: Tally): void {
  for (const { batch, relay, sentAt, leases, buckets } of all(recordings)) {
    for (const [bucket, epoch] of leases) {
      if (!buckets.includes(bucket)) continue
      const newer = grants.get(bucket)?.find((grant) => grant.epoch > epoch && grant.at < sentAt)
      tally.expect(newer === undefined, () => ({
        of: batch,
        expected: 'recorded only under the newest leases of its buckets',
        found: `${relay} recorded it under epoch ${epoch} of bucket ${bucket}; ${newer!.relay} had ${newer!.epoch}`,
      }))
    }
  }
}

/** A row is deleted after an acknowledgement of its batch by any relay, or after the log was found to have it. A record ends with its last row. */
function checkDeletes({ history, sendsOf }: Evidence, batches: Batches, tally: Tally): void {
  for (const { relay, lines } of history.traces ?? []) {
    for (const line of lines) {
      if (line.what !== 'settles') continue
      for (const id of line.ids) {
        const acked = sendsOf.get(id)?.some((send) => send.outcome === 'acked' && send.endedAt <= line.at)
        const expected = 'deleted only after an acknowledgement of its batch, or found in the log'
        tally.expect(acked === true || batches.foundAt(id) <= line.at, () => ({
          of: id,
          expected,
          found: `${relay} deleted it without one`,
        }))
      }
    }
  }
  for (const { batch, relay, at } of batches.landings) {
    const left = batches.recordings.get(batch)?.[0]?.ids.filter((id) => batches.deletedAt(id) > at) ?? []
    tally.expect(left.length === 0, () => ({
      of: batch,
      expected: 'its record ends with the delete of its last row',
      found: `${relay} ended it with ${left.length} rows left`,
    }))
  }
}

/** A batch is withdrawn only when nothing of it can be in the log, as far as its relay can know: nobody has sent it, or a search found nothing. */
function checkWithdrawals({ topics }: Evidence, { withdrawals, sends: sendsOf, searches }: Batches, tally: Tally): void {
  for (const { batch, relay, at, ids } of withdrawals) {
    const sends = (sendsOf.get(batch) ?? []).filter((send) => send.at < at && mayBeWritten(send))
    const own = sends.filter((send) => send.relay === relay)
    // What was in it went with the topic.
    if (sends.length === 0 || topics.get(sends[0]!.topic)?.deleted) continue
    const since = Math.max(0, ...own.map((send) => send.at))
    const looked = searches.some(
      (search) =>
        search.relay === relay && search.found === 0 && search.after >= since && search.at <= at && isSame(search.ids, ids),
    )
    tally.expect(looked, () => ({
      of: batch,
      expected: 'withdrawn only after the log was searched for it, and had nothing of it',
      found: `${relay} withdrew it; it had been sent ${sends.length} times`,
    }))
  }
}

/** A message has other numbers only after the batch in which it was sent has been withdrawn. */
function checkNumbersOf({ sendsOf, topics }: Evidence, { withdrawals }: Batches, tally: Tally): void {
  const withdrawnAt = new Map<BatchKey, MonotonicMs>()
  for (const { batch, at } of withdrawals) withdrawnAt.set(batch, Math.min(at, withdrawnAt.get(batch) ?? at))
  for (const [id, sends] of sendsOf) {
    const written = sends.filter(mayBeWritten)
    for (const [i, send] of written.entries()) {
      const before = written.slice(0, i).findLast((one) => one.numbers !== send.numbers)
      if (!before?.numbers || topics.get(send.topic)?.deleted !== false) continue
      const withdrawn = withdrawnAt.get(before.numbers) ?? Number.POSITIVE_INFINITY
      tally.expect(withdrawn <= send.at, () => ({
        of: id,
        expected: `sent under other numbers only after ${before.numbers} was withdrawn`,
        found: `${send.relay} sent it as ${send.numbers}`,
      }))
    }
  }
}

/** A relay that claims a bucket reads its recorded batches, after the claim, before it sends something new of the bucket. */
function checkAdoptions({ sends }: Evidence, { grants, reads }: Batches, tally: Tally): void {
  for (const { relay, at, leases, numbers } of firstSends(sends)) {
    for (const [bucket, epoch] of leases) {
      const granted = grants.get(bucket)?.find((grant) => grant.relay === relay && grant.epoch === epoch)
      if (!granted || granted.at > at) continue
      const read = reads.get(`${relay}/${bucket}`)?.some((one) => one.after >= granted.at && one.at <= at)
      tally.expect(read === true, () => ({
        of: `bucket ${bucket}, epoch ${epoch}`,
        expected: 'its recorded batches are read after the claim, before something new of it is sent',
        found: `${relay} sent ${numbers}`,
      }))
    }
  }
}

/** Something new of a bucket is sent to a partition only when every recorded batch of both is acknowledged, found in the log, or withdrawn. */
function checkOvertaking({ sends }: Evidence, batches: Batches, tally: Tally): void {
  const lanes = new Map<string, (TracedBatch & { answeredAt: MonotonicMs })[]>()
  for (const one of all(batches.recordings)) listed(lanes, laneOf(one.batch)).push(one)
  for (const list of lanes.values()) list.sort((a, b) => a.answeredAt - b.answeredAt)
  for (const lane of firstSendsByLane(sends).values()) {
    const recorded = lanes.get(laneOf(lane[0]!.numbers!)) ?? []
    let open: typeof recorded = []
    let next = 0
    for (const send of lane) {
      for (; next < recorded.length && recorded[next]!.answeredAt < send.at; next++) open.push(recorded[next]!)
      open = open.filter(({ batch }) => batches.endedAt(batch) > send.at)
      const buckets = new Set(send.leases.map(([bucket]) => bucket))
      const over = open.find((one) => one.batch !== send.numbers && one.buckets.some((bucket) => buckets.has(bucket)))
      tally.expect(over === undefined, () => ({
        of: send.numbers!,
        expected: 'sent only after the recorded batches of its buckets and partition have ended',
        found: `${send.relay} sent it before ${over!.batch} had`,
      }))
    }
  }
}

/** The sends that are the first of their numbers. */
function firstSends(sends: readonly Send[]): Send[] {
  const seen = new Set<BatchKey>()
  return sends.filter(({ numbers }) => {
    if (numbers === undefined || seen.has(numbers)) return false
    seen.add(numbers)
    return true
  })
}

function firstSendsByLane(sends: readonly Send[]): Map<string, Send[]> {
  const lanes = new Map<string, Send[]>()
  for (const send of firstSends(sends)) listed(lanes, `${send.topic}/${send.partition}`).push(send)
  return lanes
}

/** Topic and partition of a {@link BatchKey}. */
const laneOf = (batch: BatchKey): string => batch.split('/').slice(2, 4).join('/')

const all = <T>(lists: ReadonlyMap<unknown, T[]>): T[] => [...lists.values()].flat()

const isSame = (some: readonly string[], others: readonly string[]): boolean =>
  some.length === others.length && some.every((one, i) => one === others[i])
