import type { RelayEvent, RelayEvents } from '../relay/telemetry.ts'
import { told } from './trouble.ts'

/** Fields for a log line: what helps against a paused topic. `servers` as `bootstrapServers` gives them. */
export function remedyOf<E extends RelayEvent>(
  event: E,
  fields: RelayEvents[E],
  servers: string,
): { remedy?: string; command?: string } {
  if (event !== 'topic_paused') return {}
  const { topic, code } = fields as RelayEvents['topic_paused']
  const { remedy, command } = told({ topic, partition: null, code }, servers)
  return command === undefined ? { remedy } : { remedy, command }
}
