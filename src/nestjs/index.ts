export type { ReceivedEvent } from '../inbox/handlers.ts'
export { OutboxHealthIndicator, type OutboxHealthResult } from './health.ts'
export { OnOutboxEvent, type OnOutboxEventOptions } from './on-outbox-event.ts'
export { type ConsumerOptions, OutboxModule, type OutboxModuleAsyncOptions, type OutboxModuleOptions } from './outbox-module.ts'
