import { Registry } from 'prom-client'
import type { InboxEvents } from '../../../src/inbox/telemetry.ts'
import { inboxMetrics } from '../../../src/ops/index.ts'
import { BoundedLabels } from '../../../src/ops/labels.ts'
import { relayMetrics } from '../../../src/ops/metrics.ts'
import { sampledMetrics } from '../../../src/ops/sampled-metrics.ts'
import { Telemetry } from '../../../src/relay/telemetry.ts'
import { Emitter } from '../../../src/running/emitter.ts'
import { code, table } from '../markdown.ts'

interface Metric {
  name: string
  type: string
  labelNames: readonly string[]
  help: string
}

const metricsIn = (registry: Registry): Metric[] => registry.getMetricsAsArray() as unknown as Metric[]

/** The metrics of a relay, of the tables it samples, or of an inbox. */
export function metricsTable(of: string): string {
  const sampled = sampledNames()
  const metrics: Record<string, () => Metric[]> = {
    relay: () => metricsIn(relayMetrics(new Telemetry())).filter(({ name }) => !sampled.has(name)),
    tables: () => metricsIn(relayMetrics(new Telemetry())).filter(({ name }) => sampled.has(name)),
    inbox: () => metricsIn(inboxMetrics(new Emitter<InboxEvents>())),
  }
  const rows = metrics[of]!().map(({ name, type, labelNames, help }) => [
    code(name),
    type,
    labelNames.map(code).join(', '),
    help.replace(/\.$/, ''),
  ])
  return table(['metric', 'type', 'labels', 'meaning'], rows)
}

/** Names of the metrics that come from the sampler. */
function sampledNames(): Set<string> {
  const registry = new Registry()
  sampledMetrics(new Telemetry(), { registry, topics: new BoundedLabels(registry, 'topic'), now: () => 0 })
  return new Set(metricsIn(registry).map(({ name }) => name))
}
