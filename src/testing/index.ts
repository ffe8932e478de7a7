export {
  type MemoryRecord,
  type MemoryRefusal,
  type MemoryTransport,
  type MemoryTransportOptions,
  memoryTransport,
} from '../transport/memory.ts'
export {
  type Outcome,
  type Sending,
  type Transport,
  type TransportBatch,
  TransportError,
  type TransportRecord,
} from '../transport/transport.ts'
export { checkWire, type WireSamples } from './check-wire.ts'
export { type Drained, type DrainedMessage, type DrainOptions, drain } from './drain.ts'
export { type EnqueuedOptions, type ExpectedMessage, enqueued, expectEnqueued, type TestClient } from './enqueued.ts'
export type { OutboxMessage } from './told.ts'
