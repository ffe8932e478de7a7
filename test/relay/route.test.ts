import { expect, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { route } from '../../src/relay/fetch/route.ts'
import { Lane } from '../../src/relay/publish/lane.ts'
import { Topics } from '../../src/relay/publish/topics.ts'
import { Settler } from '../../src/relay/settle/settler.ts'
import { type CarriedRow, Claim } from '../../src/relay/state/claim.ts'
import { type RelayEvent, Telemetry } from '../../src/relay/telemetry.ts'
import type { OutboxRow } from '../../src/store/store.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { readRow } from '../support/read-row.ts'
import { relayContext } from '../support/relay-context.ts'

const key = Buffer.from('k')
const bucket = bucketOf('t', key)
const rowOf = (given: Partial<OutboxRow> = {}): OutboxRow => readRow({ id: 7, messageId: 'm7', ...given })

/** A claim, a hand, and an open topic `t` of one lane that takes a single row. What is pushed into the lane is not sent before the end. */
async function setUp() {
  const telemetry = new Telemetry()
  const told: RelayEvent[] = []
  telemetry.on('*', (name) => told.push(name))
  const transport = memoryTransport({ partitions: 1 })
  const limits = {
    batchRecords: 1,
    batchBytes: 100,
    requestTimeoutMs: 1,
    maxInFlight: 1,
    maxInFlightBytes: 1_000,
    maxRowBytes: 1_000,
  }
  const context = relayContext(limits, { transport, telemetry })
  const { inFlight, moves } = context.state
  const topics = new Topics(context, new Settler(context))
  const topic = topics.get('t')!
  await expect.poll(() => topic.open, { interval: 1 }).toBe(true)
  const claim = new Claim({ bucket, epoch: 1 }, 0, [])
  return {
    topic,
    lane: topic.lanes[0]!,
    inFlight,
    claim,
    told,
    moves,
    topics,
    context,
  }
}

type Ground = Awaited<ReturnType<typeof setUp>>
const carried = (given: Partial<OutboxRow>, { claim }: Ground): CarriedRow => ({ ...rowOf(given), claim, heldBytes: 10 })
const full = (ground: Ground) => {
  const row = carried({ id: 1, messageId: 'm1', bucket: (bucket + 2) % 64 }, ground)
  ground.inFlight.add(row)
  ground.lane.push(row)
}

/** What became of the row, where something did: by default it is neither in flight, nor queued, nor told of. */
interface Became {
  place: 'the lane' | 'none' | 'known' | 'skipped' | 'clash'
  inHand?: boolean
  queued?: boolean
  /** Who skips it. */
  skips?: 'lane' | 'topic'
  moved?: boolean
  deadLettered?: string
  told?: RelayEvent
}

const taken = { place: 'the lane', inHand: true, queued: true } as const
const tooLarge = 'MESSAGE_TOO_LARGE: The message has 3 bytes; the relay carries 1000.'

test.each<[string, { row?: Partial<OutboxRow>; before?: (ground: Ground) => void }, Became]>([
  ['a row goes into its lane', {}, taken],
  ['one in flight is known', { before: (on) => on.inFlight.add(carried({}, on)) }, { place: 'known', inHand: true }],
  ['one deleted since the fetch was sent is known', { before: (on) => on.inFlight.deleted(carried({}, on)) }, { place: 'known' }],
  [
    'one whose id is in flight for another message stands in the way of all behind it',
    { before: (on) => on.inFlight.add(carried({ messageId: 'other' }, on)) },
    { place: 'clash', inHand: true },
  ],
  ['a topic that is not open skips it', { row: { topic: 'paused' } }, { place: 'skipped', skips: 'topic' }],
  [
    'also where it stands below the position: nobody missed it',
    { row: { topic: 'paused' }, before: ({ claim }) => Object.assign(claim, { sweptTo: 7 }) },
    { place: 'skipped', skips: 'topic' },
  ],
  [
    'one behind a dead one of its key is moved there',
    { before: ({ claim }) => claim.block('t', key, 6) },
    { place: 'none', inHand: true, moved: true },
  ],
  ['one before it is not', { before: ({ claim }) => claim.block('t', key, 8) }, taken],
  [
    'one that is too large is dead-lettered',
    { row: { oversized: true } },
    { place: 'none', inHand: true, deadLettered: tooLarge },
  ],
  [
    'unless it must wait behind a dead one',
    { row: { oversized: true }, before: ({ claim }) => claim.block('t', key, 6) },
    { place: 'none', inHand: true, moved: true },
  ],
  ['a full lane skips it', { before: full }, { place: 'the lane', skips: 'lane' }],
  [
    'a lane that skips what was before it skips it too',
    { before: ({ lane }) => lane.skippedFrom.skip(bucket, 5) },
    { place: 'the lane', skips: 'lane' },
  ],
  [
    'one at or below the position was missed, which is told',
    { before: ({ claim }) => Object.assign(claim, { sweptTo: 7 }) },
    { ...taken, told: 'row_found_below_position' },
  ],
  ['above it, nothing was missed', { before: ({ claim }) => Object.assign(claim, { sweptTo: 6 }) }, taken],
  [
    'nor what the lane skips',
    { before: ({ claim, lane }) => [Object.assign(claim, { sweptTo: 7 }), lane.skippedFrom.skip(bucket, 7)] },
    { place: 'the lane', skips: 'lane' },
  ],
  [
    'nor what the topic skips',
    { before: ({ claim, topic }) => [Object.assign(claim, { sweptTo: 7 }), topic.skippedFrom.skip(bucket, 7)] },
    { ...taken, skips: 'topic' },
  ],
  [
    'one in a bucket that is not its key’s is sent, and told',
    { row: { bucket: bucket + 1 } },
    { ...taken, told: 'wrong_bucket' },
  ],
  ['and not before it is taken', { row: { bucket: bucket + 1 }, before: full }, { place: 'the lane', skips: 'lane' }],
])('%s', async (_, { row: given = {}, before = () => {} }, expected) => {
  const ground = await setUp()
  before(ground)
  const { lane, inFlight, told, moves, topics, context } = ground
  const [row, load] = [rowOf(given), lane.load]
  const where = route(row, ground.claim, context, topics)
  const [move] = moves.all
  const covers = (skippedFrom: Lane['skippedFrom']) => skippedFrom.covers(row.bucket, row.id)
  expect({
    place: where instanceof Lane ? 'the lane' : where,
    inHand: inFlight.inBucket(row.bucket) === 1,
    queued: lane.load > load,
    skips: covers(lane.skippedFrom) ? 'lane' : covers(topics.get(row.topic)!.skippedFrom) ? 'topic' : undefined,
    moved: move !== undefined && move.why === undefined,
    deadLettered: move?.why && `${move.why.reason}: ${move.why.error}`,
    told: told[0],
  }).toEqual({ inHand: false, queued: false, moved: false, ...expected })
})
