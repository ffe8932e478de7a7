import { collectDefaultMetrics } from 'prom-client'
import type { CreateRelayOptions, Relay, Transport } from '../embed.ts'
import { dashboardPages } from '../ops/dashboard/pages.ts'
import { healthPages } from '../ops/health.ts'
import { LivenessCheck } from '../ops/liveness.ts'
import { relayMetrics } from '../ops/metrics.ts'
import { startSampler } from '../ops/sampler.ts'
import { serve } from '../ops/server.ts'
import { bootstrapServers } from '../ops/trouble.ts'
import { telemetryOf } from '../relay/telemetry.ts'
import { tableFormats } from '../store/postgres/refusals.ts'
import type { ListenConfig } from './config.ts'

/**
 * Serves health, metrics and dashboard of a relay that is not started yet, until it has stopped. Gives the server's address.
 *
 * @throws OutboxError INVALID_OPTION when the address cannot be listened on.
 */
export async function watched(
  relay: Relay,
  transport: Transport,
  config: CreateRelayOptions,
  { dashboard: shown, ...listen }: ListenConfig,
): Promise<string> {
  const { name, leaseMs } = relay.settings
  const liveness = new LivenessCheck(relay, leaseMs)
  const registry = relayMetrics(relay)
  // The process is the relay's alone: memory, event loop and collections are worth a look.
  collectDefaultMetrics({ register: registry })
  const servers = bootstrapServers(config.kafka?.brokers)
  const askKafka = (signal: AbortSignal) => transport.connect(signal)
  const { databaseUrl, schema, tablePrefix } = config
  const dashboard =
    shown === 'off'
      ? undefined
      : dashboardPages({
          name,
          relay,
          leaseMs,
          liveness,
          databaseUrl,
          schema,
          tablePrefix,
          servers,
          payload: shown === 'payload',
        })
  const serving = await serve({
    ...listen,
    refused: (reason, address) => telemetryOf(relay).emit('http_refused', { reason, address }),
    pages: {
      ...dashboard?.pages,
      ...healthPages({ liveness, name, leaseMs, formats: Object.values(tableFormats), servers, askKafka }),
      '/metrics': {
        open: false,
        answer: async () => ({ status: 200, type: registry.contentType, body: await registry.metrics() }),
      },
    },
  })
  const stopSampler = startSampler(relay, config)
  const close = () => {
    stopSampler()
    dashboard?.close()
    serving.close()
  }
  relay.on('stopped', close)
  return serving.url
}
