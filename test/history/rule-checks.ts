import { placementHash } from '../../src/message/key.ts'
import { type Evidence, listed } from '../../src/proof/evidence.ts'
import type { Tally } from '../../src/proof/finding.ts'
import type { MonotonicMs, Trace } from '../../src/proof/history.ts'

/** An alarm is told for each row that was put in below what its relay had read, and for nothing else. */
export function checkAlarms({ relay, lines }: Trace, { history }: Evidence, tally: Tally): void {
  const place = ({ bucket, id }: { bucket: number; id: number }) => `bucket ${bucket}, id ${id}`
  const putBelow = new Set(history.putBelow)
  const expected = new Set<string>()
  for (const line of lines) {
    if (line.what === 'finds-below') for (const row of line.rows) if (putBelow.has(row.messageId)) expected.add(place(row))
  }
  const told = new Set<string>()
  for (const line of lines) {
    if (line.what !== 'alarm') continue
    told.add(place(line))
    const asked = line.event === 'row_found_below_position' && expected.has(place(line))
    tally.expect(asked, () => ({ of: relay, expected: 'no alarm', found: `${line.event}: ${place(line)}` }))
  }
  const words = 'told as an alarm: it was put in below what the relay had read'
  for (const of of expected) tally.expect(told.has(of), () => ({ of, expected: words, found: `${relay} told nothing` }))
}

/** The relay looks at its clock a moment before its trace does: so many milliseconds earlier a lease may end for it. */
const leewayMs = 100

/**
 * Until its lease ends nobody else sends the rows of a bucket: one that is let go of before stands still. A lease that a relay took again,
 * after its own had run out, is on the list beside the older one, of which it tells the loss.
 */
export function checkLosses({ relay, lines }: Trace, tally: Tally): void {
  const terms = new Map<number, { epoch: number; until: MonotonicMs }[]>()
  for (const line of lines) {
    if (line.what === 'owns') {
      // With its connection a relay forgets its leases, and says nothing.
      if (line.how === 'retake') terms.clear()
      for (const [bucket, epoch] of line.leases) {
        const known = terms.get(bucket)?.find((term) => term.epoch === epoch)
        if (known) known.until = line.until
        else listed(terms, bucket).push({ epoch, until: line.until })
      }
    } else if (line.what === 'releases') {
      for (const [bucket] of line.leases) terms.delete(bucket)
    } else if (line.what === 'loses') {
      for (const bucket of line.buckets) {
        const left = (terms.get(bucket)?.shift()?.until ?? line.at) - line.at
        tally.expect(left <= leewayMs, () => ({
          of: `bucket ${bucket}`,
          expected: 'kept until its lease ends',
          found: `${relay} let go of it ${left.toFixed(1)} ms before`,
        }))
      }
    }
  }
}

/** Where no dump tells: of each line a message is published only after the one before it was acknowledged, or behind it in one request. */
export function checkLines({ history, sends, sendsOf }: Evidence, tally: Tally): void {
  const predecessor = new Map<string, string>()
  for (const line of history.lines ?? []) for (const [i, id] of line.entries()) if (i > 0) predecessor.set(id, line[i - 1]!)
  if (predecessor.size === 0) return
  for (const send of sends) {
    const here = new Set<string>()
    for (const id of send.ids) {
      const before = predecessor.get(id)
      here.add(id)
      if (before === undefined) continue
      const acked = here.has(before) || sendsOf.get(before)?.some((one) => one.outcome === 'acked' && one.endedAt <= send.at)
      tally.expect(acked === true, () => ({
        of: id,
        expected: `published only after ${before}, the message of its key before it, was acknowledged`,
        found: `published by ${send.relay} without that`,
      }))
    }
  }
}

/** Order of a key across the growth of its topic is not promised; that the new partitions come to be used is. */
export function checkGrown({ sends, topics, written }: Evidence, tally: Tally): void {
  for (const send of sends) {
    const topic = topics.get(send.topic)
    if (topic?.usedFrom === undefined || send.at < topic.usedFrom) continue
    const partitions = topic.partitions.at(-1)!
    for (const id of send.ids) {
      const message = written.get(id)?.message
      if (!message) continue
      const key = message.key === null ? null : Buffer.from(message.key, 'latin1')
      const right = placementHash(topic.name, key) % partitions
      tally.expect(send.partition === right, () => ({
        of: id,
        expected: `in partition ${right} of the ${partitions} that ${topic.name} has had long enough`,
        found: `${send.relay} sent it to ${send.partition}`,
      }))
    }
  }
}
