import { once } from './once.ts'
import { prune } from './prune.ts'

/** The inbox by hand, for consumers of any kind: `inbox.once(tx, { consumer, id }, fn)`. */
export const inbox = Object.freeze({ once, prune })

export type { Once, OnceOptions } from './once.ts'
export type { PruneOptions } from './prune.ts'
