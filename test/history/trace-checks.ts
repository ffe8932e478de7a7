import type { Send } from '../../src/proof/evidence.ts'
import { type Evidence, listed, placeOf } from '../../src/proof/evidence.ts'
import { type Finding, notJudged, Tally } from '../../src/proof/finding.ts'
import type { MonotonicMs, Trace } from '../../src/proof/history.ts'
import { checkExactlyOnce } from './exactly-once-checks.ts'
import { checkAlarms, checkGrown, checkLines, checkLosses } from './rule-checks.ts'

/**
 * Trace safety. No row is deleted before an acknowledgement names it. No bucket has two owners. Nothing is sent outside a lease, or before its
 * predecessor is acknowledged. No bucket is given back while a request of it may still be written. None is let go of while its lease is
 * the relay's. Every acknowledged record is at the offset that the acknowledgement named.
 */
export function checkTrace(evidence: Evidence): Finding {
  const { traces, exactlyOnce } = evidence.history
  if (!traces) return notJudged('no relay wrote a trace')
  const tally = new Tally()
  for (const trace of traces) {
    if (!exactlyOnce) checkDeletes(trace, evidence, tally)
    checkAlarms(trace, evidence, tally)
  }
  checkOwners(traces, tally)
  if (exactlyOnce) checkExactlyOnce(evidence, tally)
  else checkDeadlines(evidence.sends, tally)
  for (const trace of traces) {
    if (!exactlyOnce) checkReleases(trace, evidence, tally)
    checkLosses(trace, tally)
  }
  checkOffsets(evidence, tally)
  checkPredecessors(evidence, tally)
  checkLines(evidence, tally)
  checkGrown(evidence, tally)
  return tally
}

function checkDeletes({ relay, lines }: Trace, { sendsOf }: Evidence, tally: Tally): void {
  for (const line of lines) {
    if (line.what !== 'settles') continue
    for (const id of line.ids) {
      const acked = sendsOf.get(id)?.some((send) => send.relay === relay && send.outcome === 'acked' && send.endedAt <= line.at)
      const expected = 'deleted only after an acknowledgement that names it'
      tally.expect(acked === true, () => ({ of: id, expected, found: `${relay} deleted it without one` }))
    }
  }
}

/** Time in which a relay owned a bucket under an epoch. */
interface Ownership {
  relay: string
  epoch: number
  from: MonotonicMs
  until: MonotonicMs
}

function checkOwners(traces: readonly Trace[], tally: Tally): void {
  const owners = new Map<string, string>()
  for (const [bucket, terms] of ownerships(traces)) {
    terms.sort((a, b) => a.from - b.from)
    let last: Ownership | undefined
    for (const term of terms) {
      // The answer came when the lease was over: it owned nothing.
      if (term.until <= term.from) continue
      const name = `bucket ${bucket}, epoch ${term.epoch}`
      const owner = owners.get(name) ?? term.relay
      owners.set(name, owner)
      const one = 'one owner of a bucket and epoch'
      tally.expect(owner === term.relay, () => ({ of: name, expected: one, found: `${owner} and ${term.relay}` }))
      const overlap = last && last.relay !== term.relay ? last.until - term.from : 0
      const inTurn = 'one owner of a bucket at a time'
      const before = last?.relay
      tally.expect(overlap <= 0, () => ({
        of: name,
        expected: inTurn,
        found: `${before} and ${term.relay} both, for ${overlap.toFixed(1)} ms`,
      }))
      if (!last || term.until > last.until) last = term
    }
  }
}

/** The terms of every bucket, by bucket. A term begins when the relay heard of its lease, and ends with it or when it is given back. */
function ownerships(traces: readonly Trace[]): Map<number, Ownership[]> {
  const all = new Map<number, Ownership[]>()
  for (const { relay, lines } of traces) {
    const current = new Map<number, Ownership>()
    for (const line of lines) {
      if (line.what === 'owns') {
        for (const [bucket, epoch] of line.leases) {
          const known = current.get(bucket)
          if (known?.epoch === epoch && line.how === 'renew') known.until = line.until
          else {
            // Taken again by the same relay: the older term ends where the new one begins.
            if (known) known.until = Math.min(known.until, line.at)
            const term = { relay, epoch, from: line.at, until: line.until }
            current.set(bucket, term)
            listed(all, bucket).push(term)
          }
        }
      } else if (line.what === 'releases') {
        for (const [bucket] of line.leases) {
          const term = current.get(bucket)
          if (term) term.until = Math.min(term.until, line.at)
          current.delete(bucket)
        }
      }
    }
  }
  return all
}

function checkDeadlines(sends: readonly Send[], tally: Tally): void {
  const expected = 'sent only under leases that outlast the request'
  for (const { spareMs, ids, topic, partition, relay } of sends) {
    tally.expect(spareMs !== null && spareMs >= 0, () => ({
      of: `${ids.length} records of ${topic}/${partition}, ${relay}`,
      expected,
      found: spareMs === null ? 'without a lease' : `${(-spareMs).toFixed(1)} ms too late`,
    }))
  }
}

/** The next owner begins at once: what is still written after that stands among what it sends. */
function checkReleases({ relay, lines }: Trace, { sends }: Evidence, tally: Tally): void {
  const own = sends.filter((send) => send.relay === relay)
  const expected = 'given back only when no request of it can be written any more'
  for (const line of lines) {
    if (line.what !== 'releases') continue
    const open = own.filter(
      (send) => send.at < line.at && line.at < send.until && (send.outcome === 'unknown' || send.endedAt > line.at),
    )
    for (const [bucket, epoch] of line.leases) {
      const late = open.find(({ leases }) => leases.some(([one]) => one === bucket))
      tally.expect(late === undefined, () => ({
        of: `bucket ${bucket}, epoch ${epoch}`,
        expected,
        found: `${relay} gave it back ${(late!.until - line.at).toFixed(1)} ms too early`,
      }))
    }
  }
}

/** An acknowledged record stands at its offset in every dump, so no offset was given to two. */
function checkOffsets({ sends, dumps, topics }: Evidence, tally: Tally): void {
  for (const { dump } of dumps) {
    const byPlace = new Map(dump.records.map((record) => [placeOf(record), record.id]))
    const read = new Set(dump.records.map((record) => record.topic))
    for (const { outcome, offset, ids, topic, partition } of sends) {
      if (outcome !== 'acked' || topics.get(topic)?.deleted !== false || !read.has(topic)) continue
      for (const [i, id] of ids.entries()) {
        const place = `${topic}/${partition}@${offset! + i}`
        const there = byPlace.get(place)
        tally.expect(there === id, () => ({
          of: id,
          expected: `at ${place}, as acknowledged`,
          found: `${there ?? 'nothing'} there`,
        }))
      }
    }
  }
}

/** Anyone who publishes message n of a key must know n - 1 acknowledged, or have it before n in the same request. */
function checkPredecessors({ sends, written, ledger, sendsOf, topics }: Evidence, tally: Tally): void {
  const place = (topic: string, key: string | null, n: number) => JSON.stringify([topic, key, n])
  const byPlace = new Map<string, string>()
  for (const { id, topic, key, n } of ledger.values()) if (n !== null) byPlace.set(place(topic, key, n), id)
  for (const send of sends) {
    const topic = topics.get(send.topic)
    if (!topic || topic.partitions.length > 1 || topic.deleted) continue
    const here = new Set<string>()
    for (const id of send.ids) {
      const message = written.get(id)?.message
      const before = message?.n ? byPlace.get(place(message.topic, message.key, message.n - 1)) : undefined
      here.add(id)
      if (before === undefined) continue
      const acked = here.has(before) || sendsOf.get(before)?.some((one) => one.outcome === 'acked' && one.endedAt <= send.at)
      const expected = `published only after ${before}, the message of its key before it, was acknowledged`
      tally.expect(acked === true, () => ({ of: id, expected, found: `published by ${send.relay} without that` }))
    }
  }
}
