export type { EventMethods, MessageMethods, OutboxMethods } from './enqueue/enqueue.ts'
export { enqueue, enqueueMany, outbox, withOutbox } from './enqueue/extension.ts'
export type { EnqueueOptions, OutboxOptions } from './enqueue/options.ts'
export type {
  CallbackForm,
  ExtensionArgs,
  OutboxExtension,
  OutboxTransaction,
  OutboxTransactionInferred,
  OutboxTransactionMethod,
  RequiresModel,
  TransactionClient,
  TransactionOf,
  WithOutbox,
} from './enqueue/types.ts'
export { type WakingClient, wake } from './enqueue/wake.ts'
export {
  type AnyEvent,
  type Catalog,
  defineEvents,
  type EventDefinition,
  type EventMap,
  type EventType,
  type EventVersion,
  type Evolution,
  event,
  type Last,
  type NewKey,
  type OptionalKey,
  type PayloadOf,
  type ReadPayloadOf,
  type Schemas,
  type SchemasOf,
} from './events/catalog.ts'
export type { Codec, EncodedEvent } from './events/codec.ts'
export type { AnyEventMessage, EventExtras, EventMessage } from './events/event-message.ts'
export type { InputOf, OutputOf, SchemaConverter, SchemaIssue, SchemaResult, StandardSchema } from './events/standard-schema.ts'
export type { Unstable, Wire, WireStable } from './events/wire.ts'
export { type errorCodes, isOutboxError, OutboxError, type OutboxErrorCode, type OutboxErrorDetails } from './message/errors.ts'
export type { MessageKey } from './message/key.ts'
export type { Message } from './message/message.ts'
export type { JsonPayload } from './message/payload.ts'
export { continueTrace, type MessageHeaders } from './message/trace.ts'
