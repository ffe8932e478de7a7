export type { Listenable, Listener, NamedEvent } from '../running/emitter.ts'
export { guardConsumer } from '../transport/kafkajs/guarded-kafka.ts'

import { once } from './inbox/once.ts'
import { prune } from './inbox/upkeep.ts'

/** The inbox by hand, for consumers of any kind: `inbox.once(tx, { consumer, id }, fn)`. */
export const inbox = Object.freeze({ once, prune })

export { type AnyReceivedEvent, type ReadRecord, readEvent } from './decode.ts'
export type { Handlers, ReceivedEvent, TransactionOf } from './handlers.ts'
export { createInbox, type Inbox, type RunOptions } from './inbox/inbox.ts'
export type { Once, OnceOptions } from './inbox/once.ts'
export { type DeadLetterOptions, type InboxOptions, inboxDefaults } from './inbox/options.ts'
export type { PruneOptions } from './inbox/upkeep.ts'
export type { ProjectionOptions } from './projection/options.ts'
export { createProjection, type Projection } from './projection/projection.ts'
export type { SqlClient } from './statements.ts'
export type { InboxEvent, InboxEvents, ProjectionEvents } from './telemetry.ts'
