export {
  type MemoryRecord,
  type MemoryRefusal,
  type MemoryTransport,
  type MemoryTransportOptions,
  memoryTransport,
} from '../transport/memory.ts'
export {
  type Outcome,
  type Transport,
  type TransportBatch,
  TransportError,
  type TransportRecord,
} from '../transport/transport.ts'
export { checkWire, type WireSamples } from './check-wire.ts'
