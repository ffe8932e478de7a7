import type { MonotonicMs } from './clock.ts'
import type { LeaseName, Trace } from './history.ts'

/** One publish of a relay, from its trace. */
export interface Send {
  relay: string
  at: MonotonicMs
  topic: string
  partition: number
  ids: readonly string[]
  leases: readonly LeaseName[]
  spareMs: number | null
  until: MonotonicMs
  /** `none`: the relay ended before it knew. */
  outcome: 'acked' | 'not-written' | 'unknown' | 'none'
  endedAt: MonotonicMs
  /** Offset of the first record, where it was acknowledged. */
  offset: number | null
}

/** The publishes of one relay, with their outcomes. */
export function sendsOf({ relay, lines }: Trace): Send[] {
  const byBatch = new Map<number, Send>()
  for (const line of lines) {
    if (line.what === 'publishes') {
      const { at, topic, partition, ids, leases, spareMs, until } = line
      const open = { outcome: 'none', endedAt: Number.POSITIVE_INFINITY, offset: null } as const
      byBatch.set(line.batch, { relay, at, topic, partition, ids, leases, spareMs, until, ...open })
    } else if (line.what === 'published') {
      Object.assign(byBatch.get(line.batch)!, { outcome: line.outcome, endedAt: line.at, offset: line.offset })
    }
  }
  return [...byBatch.values()]
}

/** Whether the records of a publish may stand in the log. */
export const mayBeInLog = (send: Send): boolean => send.outcome !== 'not-written'
