import type { Clock } from '../running/clock.ts'
import type { Emitter } from '../running/emitter.ts'
import { codeOf } from './failure.ts'
import type { ResolvedInbox } from './options.ts'
import { prune } from './prune.ts'
import type { Redriver } from './redrive.ts'
import type { InboxEvents } from './telemetry.ts'

/** Milliseconds between two looks for requests: an operator waits for the answer. */
const requestMs = 1_000

/** Milliseconds between two prunings: one statement that finds nothing, nearly always. */
const pruneMs = 600_000

/** What an upkeep works with. */
export interface UpkeepPorts {
  options: ResolvedInbox
  schema: string
  redriver: Redriver
  telemetry: Emitter<InboxEvents>
  clock: Clock
}

/** What a consumer does beside its messages, until `signal` aborts: requests of operators, and pruning. Never rejects. */
export async function keepUp(ports: UpkeepPorts, signal: AbortSignal): Promise<void> {
  const { redriver, telemetry, clock, options, schema } = ports
  const { consumer, prisma, retentionDays } = options
  const every = async (what: 'redrive' | 'prune', ms: number, work: () => Promise<void>) => {
    for (let failing = false; !signal.aborted; await clock.wait(ms, signal)) {
      try {
        await work()
        failing = false
      } catch (error) {
        if (!failing) telemetry.emit('upkeep_failed', { consumer, what, code: codeOf(error) })
        failing = true
      }
    }
  }
  await Promise.all([
    every('redrive', requestMs, () => redriver.look(signal)),
    every('prune', pruneMs, async () => {
      const start = clock.now()
      const rows = await prune(prisma, { consumer, retentionDays, schema })
      if (rows > 0) telemetry.emit('inbox_pruned', { consumer, rows, ms: Math.round(clock.now() - start) })
    }),
  ])
}
