import type { EventLines, Level } from '../running/console-lines.ts'
import type { InboxEvents, ProjectionEvents } from './telemetry.ts'

// How the events of an inbox and of a projection are written to the console.

const inboxLevels: Record<keyof InboxEvents, Level> = {
  consumer_started: 'info',
  consumer_stopped: 'info',
  partitions_assigned: 'info',
  applied: 'debug',
  apply_failed: 'error',
  dead_lettered: 'error',
  blocked: 'warn',
  redriven: 'info',
  request_failed: 'error',
  discarded: 'warn',
  inbox_pruned: 'debug',
  upkeep_failed: 'warn',
  consumer_crashed: 'error',
}

const projectionLevels: Record<keyof ProjectionEvents, Level> = {
  projected: 'debug',
  projection_failed: 'error',
  live: 'info',
  consumer_crashed: 'error',
  partitions_assigned: 'info',
}

/** See {@link EventLines}. */
export const inboxLines: EventLines<InboxEvents> = {
  levelOf: (event) => inboxLevels[event],
  linesPerMinute: { apply_failed: 10, dead_lettered: 20, blocked: 1, discarded: 20, consumer_crashed: 5 },
}

/** The same for a projection. */
export const projectionLines: EventLines<ProjectionEvents> = {
  levelOf: (event) => projectionLevels[event],
  linesPerMinute: { projection_failed: 10, consumer_crashed: 5 },
}
