import type { Evidence } from './evidence.ts'
import { type Finding, notJudged, Tally } from './finding.ts'
import type { DeadMessage } from './history.ts'

/**
 * Liveness: after the last heal the outbox empties in time and on its own, no relay ended that nobody had killed, outbox_dead_letter holds
 * exactly what is expected there, and messages that a fault leaves alone flow beside it.
 */
export function checkLiveness(evidence: Evidence): Finding {
  const { history, dumps } = evidence
  const { rest } = history
  if (!rest) return notJudged('nobody looked at the tables at the end')
  const tally = new Tally()
  const inTime = rest.emptiedMs !== null && rest.emptiedMs <= rest.limitMs && rest.left === 0
  tally.expect(inTime, () => ({
    of: 'outbox',
    expected: `empty within ${rest.limitMs} ms of the end of the last fault`,
    found: rest.emptiedMs === null || rest.left > 0 ? `${rest.left} rows are left` : `it took ${Math.round(rest.emptiedMs)} ms`,
  }))
  for (const end of rest.unexpectedEnds) {
    tally.expect(false, () => ({ of: end, expected: 'no relay ends on its own', found: 'this one did' }))
  }
  checkDead(rest.dead, rest.expectedDead, tally)
  for (const { id } of rest.expectedDead) {
    const found = dumps.some(({ copies }) => copies.has(id))
    tally.expect(!found, () => ({ of: id, expected: 'in outbox_dead_letter and nowhere else', found: 'in the log' }))
  }
  checkFlow(evidence, tally)
  return tally
}

/** Only of what was committed while no fault was in force but such as leave others alone: then each is acknowledged in time. */
function checkFlow({ history, topics, sendsOf }: Evidence, tally: Tally): void {
  for (const { kind, from, healedAt, flow } of history.faults) {
    if (!flow) continue
    const others = history.faults.filter((other) => !other.flow)
    for (const { outcome, endedAt, messages } of history.attempts) {
      const until = endedAt + flow.withinMs
      if (outcome !== 'ok' || endedAt < from || until > healedAt) continue
      if (others.some((other) => other.from < until && endedAt - flow.withinMs < other.healedAt)) continue
      for (const { id, topic } of messages) {
        if (topics.get(topic)?.deleted !== false) continue
        const acked = Math.min(...(sendsOf.get(id) ?? []).map((send) => (send.outcome === 'acked' ? send.endedAt : Infinity)))
        tally.expect(acked <= until, () => ({
          of: id,
          expected: `acknowledged within ${flow.withinMs} ms of its commit also under ${kind}`,
          found: Number.isFinite(acked) ? `after ${Math.round(acked - endedAt)} ms` : 'never',
        }))
      }
    }
  }
}

function checkDead(dead: readonly DeadMessage[], expected: readonly DeadMessage[], tally: Tally): void {
  const reasons = new Map(dead.map((one) => [one.id, one.reason]))
  const wanted = new Set(expected.map((one) => one.id))
  for (const { id, reason } of expected) {
    const found = reasons.get(id)
    // Refused again after a redrive, or come while its key was held already: it may wait behind another one instead.
    tally.expect(found === reason || found === null, () => ({
      of: id,
      expected: `in outbox_dead_letter with ${reason ?? 'no reason of its own'}`,
      found: found === undefined ? 'not there' : `there with ${found}`,
    }))
  }
  for (const { id, reason } of dead) {
    tally.expect(wanted.has(id), () => ({ of: id, expected: 'not in outbox_dead_letter', found: `there with ${reason}` }))
  }
}
