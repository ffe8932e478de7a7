import { createRelay } from '../../src/embed.ts'
import { relayLog } from '../../src/ops/log.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { shared } from './relay.ts'

/** A relay that a message kills, as one does that makes a native library crash or the memory run out. */
const transport = memoryTransport()
const relay = createRelay({
  databaseUrl: process.env.DATABASE_URL!,
  leaseMs: Number(process.env.OUTBOX_LEASE_MS),
  transport: {
    ...shared(transport),
    publish: (batch, timeoutMs) => {
      if (batch.records.some((record) => String(record.value) === 'poison')) process.kill(process.pid, 'SIGKILL')
      return transport.publish(batch, timeoutMs)
    },
  },
})
relayLog(relay)
await relay.start()
