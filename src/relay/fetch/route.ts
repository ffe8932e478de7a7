import { bucketOf } from '../../message/key.ts'
import type { OutboxRow } from '../../store/store.ts'
import type { RelayContext } from '../context.ts'
import type { Lane } from '../publish/lane.ts'
import { recordFault } from '../publish/record.ts'
import type { Topic } from '../publish/topic.ts'
import type { Topics } from '../publish/topics.ts'
import type { CarriedRow, Claim } from '../state/claim.ts'
import type { InFlight } from '../state/in-flight.ts'
import type { Telemetry } from '../telemetry.ts'

/**
 * Where a row that was read belongs: a lane, which has taken it or skips it, or one of these. `none`: it is on its way to the dead letters.
 * `known`: it was in flight before. `skipped`: it is of a stuck lane or of a topic that takes no rows, which skips it. `clash`: its id is in
 * flight for another message, and nothing of its bucket may pass it.
 */
export type Route = Lane | 'none' | 'known' | 'skipped' | 'clash'

/**
 * Puts a row where it belongs. Keeps rule 11 of docs/protocol.md.
 */
export function route(row: OutboxRow, claim: Claim, { settings, telemetry, state }: RelayContext, topics: Topics): Route {
  const { inFlight, moves } = state
  const known = inFlight.knows(row)
  if (known === 'yes') return 'known'
  if (known === 'other') return 'clash'
  const carried = Object.assign(row, { claim, heldBytes: row.oversized ? 0 : row.bytes })
  // Before its topic is asked for: a name that Kafka refuses would be taken for trouble of Kafka as a whole.
  const fault = recordFault(row)
  if (fault) {
    inFlight.add(carried)
    // Never behind another: of a long topic only the beginning is known, which may be that of another name.
    moves.reject(carried, 'INVALID_RECORD', fault)
    return 'none'
  }
  const topic = topics.get(row.topic)
  if (!topic?.open) {
    if (topic) topic.skip(carried)
    else topics.missing.skip(carried)
    return 'skipped'
  }
  if (row.id <= claim.sweptTo) tellMissed(row, topic, telemetry)
  if (claim.isBlocked(row)) {
    inFlight.add(carried)
    moves.block(carried)
    return 'none'
  }
  if (row.oversized) {
    inFlight.add(carried)
    moves.reject(carried, 'MESSAGE_TOO_LARGE', `The message has ${row.bytes} bytes; the relay carries ${settings.maxRowBytes}.`)
    return 'none'
  }
  return intoLane(carried, topic, telemetry, inFlight)
}

/** A row below the position should have been seen before, unless it was skipped. */
function tellMissed({ bucket, id }: OutboxRow, topic: Topic, telemetry: Telemetry): void {
  if (topic.skippedFrom.covers(bucket, id) || topic.lanes.some((lane) => lane.skippedFrom.covers(bucket, id))) return
  telemetry.emit('row_found_below_position', { bucket, id, topic: topic.name })
}

function intoLane(row: CarriedRow, topic: Topic, telemetry: Telemetry, inFlight: InFlight): Route {
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
