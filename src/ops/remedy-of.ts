import type { RelayEvent, RelayEvents } from '../relay/telemetry.ts'
import { told } from './trouble.ts'

/** What helps a relay that waits because the outbox is in the other mode, by its own mode. */
const otherMode = {
  on: 'Stop the relays without --exactly-once. This one takes over when their leases have ended.',
  off: 'Stop the relays with --exactly-once. This one takes over when their leases have ended, and publishes what they had recorded.',
} as const

/** Fields for a log line: what helps against a paused topic, an outbox without a relay or one of the other mode. `servers` as `bootstrapServers` gives them. */
export function remedyOf<E extends RelayEvent>(
  event: E,
  fields: RelayEvents[E],
  servers: string,
): { remedy?: string; command?: string } {
  if (event === 'outboxes_without_relay') return { remedy: 'Start a relay for each: --schema and --table-prefix name it.' }
  if (event === 'standing_by') return { remedy: otherMode[(fields as RelayEvents['standing_by']).exactlyOnce ? 'on' : 'off'] }
  if (event !== 'topic_paused') return {}
  const { topic, code } = fields as RelayEvents['topic_paused']
  const { remedy, command } = told({ topic, partition: null, code }, servers)
  return command === undefined ? { remedy } : { remedy, command }
}
