import type { RelayEvent, RelayEvents } from '../relay/telemetry.ts'
import { told } from './trouble.ts'

/** Fields for a log line: what helps against a paused topic, or an outbox without a relay. `servers` as `bootstrapServers` gives them. */
export function remedyOf<E extends RelayEvent>(
  event: E,
  fields: RelayEvents[E],
  servers: string,
): { remedy?: string; command?: string } {
  if (event === 'outboxes_without_relay') return { remedy: 'Start a relay for each: --schema and --table-prefix name it.' }
  if (event !== 'topic_paused') return {}
  const { topic, code } = fields as RelayEvents['topic_paused']
  const { remedy, command } = told({ topic, partition: null, code }, servers)
  return command === undefined ? { remedy } : { remedy, command }
}
