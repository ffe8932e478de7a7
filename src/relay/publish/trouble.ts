// Keeps rule 5 of docs/protocol.md.

import type { Trouble } from '../../store/store.ts'

/** Entries that a heartbeat carries, at most. */
export const mostTrouble = 20

/** What a topic and its lanes know of their own trouble. */
export interface TroubledTopic {
  readonly name: string
  /** Code of the reason, while the topic is paused or finds out whether it may go on. */
  readonly pausedBy: string | undefined
  /** Its lanes, each with the code of its last outcome while it does not progress. */
  readonly lanes: readonly { readonly partition: number; readonly stuckBy: string | undefined }[]
}

/**
 * The topics and partitions that cannot be served, for the heartbeat. Whole topics come first, then partitions in turn: one topic with many
 * partitions must not hide another.
 */
export function troubleOf(topics: Iterable<TroubledTopic>): Trouble[] {
  const ranked: { rank: number; trouble: Trouble }[] = []
  for (const { name: topic, pausedBy, lanes } of topics) {
    if (pausedBy !== undefined) {
      ranked.push({ rank: 0, trouble: { topic, partition: null, code: pausedBy } })
      continue
    }
    let rank = 0
    for (const { partition, stuckBy } of lanes) {
      if (stuckBy !== undefined) ranked.push({ rank: ++rank, trouble: { topic, partition, code: stuckBy } })
    }
  }
  return ranked
    .sort((a, b) => a.rank - b.rank)
    .slice(0, mostTrouble)
    .map(({ trouble }) => trouble)
}
