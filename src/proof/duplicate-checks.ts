import { type Evidence, mayBeInLog, placeOf, type Send } from './evidence.ts'
import { type Finding, Tally } from './finding.ts'

/** Copies in the log beyond the first of each message. */
export const duplicatesIn = (copies: ReadonlyMap<string, readonly unknown[]>): number =>
  [...copies.values()].reduce((sum, records) => sum + records.length - 1, 0)

/** The copies that the faults explain: every publish after the first whose records may stand in the log. Null: nothing tells. */
export function duplicateBound({ history, sendsOf }: Evidence): number | null {
  if (history.exactlyOnce) return 0
  if (!history.traces) return history.faults.length === 0 ? 0 : (history.mostDuplicates ?? null)
  let bound = 0
  for (const sends of sendsOf.values()) bound += Math.max(0, sends.filter(mayBeInLog).length - 1)
  return bound
}

/**
 * Duplicates: without faults none; with faults no more than were sent and not yet deleted when one came. Where there is a trace this is
 * exact: each copy is a publish of a relay, and each publish after the first has a cause, an outcome that the sender does not know or
 * another owner.
 */
export function checkDuplicates(evidence: Evidence): Finding {
  const tally = new Tally()
  const bound = duplicateBound(evidence)
  if (bound === null) return { cases: 0, violations: [], notJudged: 'neither a trace nor a bound was given' }
  for (const { dump, copies } of evidence.dumps) {
    const found = duplicatesIn(copies)
    const expected = `at most ${bound} copies beyond the first (${evidence.history.faults.length} faults)`
    tally.expect(found <= bound, () => ({ of: dump.isolation, expected, found: `${found}` }))
  }
  checkRecords(evidence, tally)
  if (evidence.history.traces) {
    checkCopies(evidence, tally)
    for (const [id, sends] of evidence.sendsOf) checkCauses(id, sends, evidence, tally)
  }
  return tally
}

/** What is sent without a record, the next kill may send twice: that this run had no copy would be luck. */
function checkRecords({ history, dumps }: Evidence, tally: Tally): void {
  const { recordedBatches: recorded } = history
  if (recorded === undefined || dumps.every(({ copies }) => copies.size === 0)) return
  const expected = 'batches that were recorded before they were sent'
  tally.expect(recorded > 0, () => ({ of: 'outbox_batch', expected, found: 'none' }))
}

/** A copy that no relay sent was made by the client or the broker. */
function checkCopies({ dumps, sendsOf }: Evidence, tally: Tally): void {
  for (const { copies } of dumps) {
    for (const [id, records] of copies) {
      const sent = (sendsOf.get(id) ?? []).filter(mayBeInLog).length
      const expected = `at most as many copies as publishes that may have been written: ${sent}`
      tally.expect(records.length <= sent, () => ({ of: id, expected, found: records.map(placeOf).join(', ') }))
    }
  }
}

function checkCauses(id: string, sends: readonly Send[], { history }: Evidence, tally: Tally): void {
  const written = sends.filter(mayBeInLog)
  const firstFault = Math.min(...history.faults.map((fault) => fault.from))
  for (const [i, send] of written.entries()) {
    const before = written[i - 1]
    if (!before) continue
    const expected = 'a second publish only after an outcome that the sender does not know, or by another owner'
    const found = `${before.relay} had it acknowledged and published it again`
    tally.expect(before.relay !== send.relay || before.outcome !== 'acked', () => ({ of: id, expected, found }))
    // A machine that is too busy to answer in time is a fault that nobody injected.
    const calm = 'no second publish before the first fault, but after an unknown outcome'
    tally.expect(send.at >= firstFault || before.outcome === 'unknown', () => ({
      of: id,
      expected: calm,
      found: `published again by ${send.relay}`,
    }))
  }
}
