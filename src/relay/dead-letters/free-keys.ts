import { keyDigest } from '../../message/key-digest.ts'
import type { FreedKey } from '../../store/store.ts'
import type { RelayContext } from '../context.ts'
import type { Topics } from '../publish/topics.ts'
import type { CarriedRow, Claim } from '../state/claim.ts'

/**
 * Rows of these keys were put back or dropped (rule 14). Queued moves of them are dropped, their rows let go of, and the bucket is read from its
 * beginning; a key of which some still wait is blocked from the next one on.
 */
export function freeKeys({ state }: RelayContext, topics: Topics, claim: Claim, keys: readonly FreedKey[]): void {
  if (keys.length === 0) return
  const names = new Set(keys.map(({ topic, key }) => keyDigest(topic, key)))
  const same = (row: CarriedRow) => row.claim === claim && row.key !== null && names.has(keyDigest(row.topic, row.key))
  for (const { topic, key } of keys) claim.unblock(topic, key)
  state.moves.forget(same)
  topics.letGo(same)
  for (const { topic, key, next, goesOn } of keys) if (next !== null) claim.block(topic, key, next, goesOn)
  state.positions.rewind(claim)
}
