export { guardConsumer } from '../transport/kafkajs/guarded-kafka.ts'

import { once } from './once.ts'
import { prune } from './prune.ts'

/** The inbox by hand, for consumers of any kind: `inbox.once(tx, { consumer, id }, fn)`. */
export const inbox = Object.freeze({ once, prune })

export type { Handlers, ReceivedEvent, TransactionOf } from './handlers.ts'
export { createInbox, type Inbox, type RunOptions } from './inbox.ts'
export type { Once, OnceOptions } from './once.ts'
export { type DeadLetterOptions, type InboxOptions, inboxDefaults } from './options.ts'
export { createProjection, type Projection } from './projection.ts'
export type { ProjectionEvents, ProjectionOptions } from './projection-options.ts'
export type { PruneOptions } from './prune.ts'
export { type AnyReceivedEvent, type ReadRecord, readEvent } from './read-event.ts'
export type { InboxEvent, InboxEvents, InboxSubscriber } from './telemetry.ts'
