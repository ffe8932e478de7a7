import type { RelayContext } from '../context.ts'
import type { Topics } from '../publish/topics.ts'
import type { Claim } from '../state/claim.ts'

/** Nothing new of these claims is read or sent; what is in flight is finished. */
export function letGoOf({ state }: RelayContext, topics: Topics, claims: readonly Claim[]): void {
  const going = new Set(claims)
  topics.letGo((row) => going.has(row.claim))
  state.positions.invalidate()
}

/**
 * Ends claims: every stage lets go of their rows, which the next owner finds in the table. Called by the leases, and by the dead letters when
 * a statement finds that the lease is another relay's. Returns those that were not over already.
 */
export function endClaims(context: RelayContext, topics: Topics, over: readonly Claim[]): Claim[] {
  const { claims, moves, locked } = context.state
  const ending = over.filter((claim) => claim.alive)
  if (ending.length === 0) return ending
  for (const claim of ending) claims.end(claim)
  letGoOf(context, topics, ending)
  const ended = new Set(ending)
  moves.forget((row) => ended.has(row.claim))
  for (const claim of ending) locked.over(claim)
  return ending
}

/** Ends the claim of a lease that turned out to be another relay's. */
export function loseClaim(context: RelayContext, topics: Topics, claim: Claim): void {
  if (endClaims(context, topics, [claim]).length === 0) return
  context.telemetry.emit('leases_lost', { buckets: [claim.bucket], owned: context.state.claims.size })
}
