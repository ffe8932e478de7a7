import { bucketOf } from '../../message/key.ts'
import type { OutboxRow } from '../../store/store.ts'
import type { Lane } from '../publish/lane.ts'
import { recordFault } from '../publish/record.ts'
import type { Topic, Topics } from '../publish/topic.ts'
import type { CarriedRow, Claim } from '../state/claim.ts'
import type { InFlight } from '../state/in-flight.ts'
import type { Telemetry } from '../telemetry.ts'

/** What there is to know for the place of a row, and where it may go. */
export interface RouteDeps {
  telemetry: Telemetry
  inFlight: InFlight
  topics: Topics
  limits: {
    /** Rows over this size are never loaded. */
    maxRowBytes: number
  }
  /** Takes a row that must wait behind a dead one. */
  moveBlocked: (row: CarriedRow) => void
  /** Takes a row that can never be sent. */
  deadLetter: (row: CarriedRow, reason: string, error: string) => void
}

/**
 * Where a row that was read belongs: to a lane, which has taken it or skips it; `none`: it is on its way to the dead; `known`: it was in flight
 * before; `skipped`: it is of a stuck lane or of a topic that takes no rows, which skips it; `clash`: its id is in flight for another message, and
 * nothing of its bucket may pass it.
 */
export type Route = Lane | 'none' | 'known' | 'skipped' | 'clash'

/** Puts a row where it belongs. */
export function place(row: OutboxRow, claim: Claim, deps: RouteDeps): Route {
  const { inFlight, topics, limits } = deps
  const known = inFlight.knows(row)
  if (known === 'yes') return 'known'
  if (known === 'other') return 'clash'
  const carried = Object.assign(row, { claim, heldBytes: row.oversized ? 0 : row.bytes })
  // Before its topic is asked for: a name that Kafka refuses would be taken for trouble of Kafka as a whole.
  const fault = recordFault(row)
  if (fault) {
    inFlight.add(carried)
    // Never behind another: of a long topic only the beginning is known, which may be that of another name.
    deps.deadLetter(carried, 'INVALID_RECORD', fault)
    return 'none'
  }
  const topic = topics.get(row.topic)
  if (!topic?.open) {
    if (topic) topic.skip(carried)
    else topics.missing.skip(carried)
    return 'skipped'
  }
  if (row.id <= claim.sweptTo) tellMissed(row, topic, deps.telemetry)
  if (claim.isBlocked(row)) {
    inFlight.add(carried)
    deps.moveBlocked(carried)
    return 'none'
  }
  if (row.oversized) {
    inFlight.add(carried)
    deps.deadLetter(carried, 'MESSAGE_TOO_LARGE', `The message has ${row.bytes} bytes; the relay carries ${limits.maxRowBytes}.`)
    return 'none'
  }
  return intoLane(carried, topic, deps)
}

/** A row below the position should have been seen before, unless it was skipped. */
function tellMissed({ bucket, id }: OutboxRow, topic: Topic, telemetry: Telemetry): void {
  if (topic.skippedFrom.covers(bucket, id) || topic.lanes.some((lane) => lane.skippedFrom.covers(bucket, id))) return
  telemetry.emit('row_found_below_position', { bucket, id, topic: topic.name })
}

function intoLane(row: CarriedRow, topic: Topic, { telemetry, inFlight }: RouteDeps): Route {
  const lane = topic.laneOf(row)
  if (lane.room === 0) {
    lane.skippedFrom.skip(row.bucket, row.id)
    return lane.stuck ? 'skipped' : lane
  }
  if (bucketOf(row.topic, row.key) !== row.bucket) {
    telemetry.emit('wrong_bucket', { bucket: row.bucket, id: row.id, topic: row.topic })
  }
  inFlight.add(row)
  lane.push(row)
  return lane
}
