import { expect, onTestFinished, test } from 'vitest'
import { bucketOf } from '../../src/message/key.ts'
import { type CarriedRow, Claim, Claims } from '../../src/relay/claim.ts'
import { Gate } from '../../src/relay/gate.ts'
import { Hand } from '../../src/relay/hand.ts'
import { Lane } from '../../src/relay/lane.ts'
import { place } from '../../src/relay/place.ts'
import { type RelayEvent, Telemetry } from '../../src/relay/telemetry.ts'
import { Topics } from '../../src/relay/topic.ts'
import { systemClock } from '../../src/running/clock.ts'
import type { OutboxRow } from '../../src/store/store.ts'
import { memoryTransport } from '../../src/transport/memory.ts'
import { readRow } from '../support/read-row.ts'

const key = Buffer.from('k')
const bucket = bucketOf('t', key)
const rowOf = (given: Partial<OutboxRow> = {}): OutboxRow => readRow({ id: 7, messageId: 'm7', ...given })

/** A claim, a hand, and an open topic `t` of one lane that takes a single row. What is pushed into the lane is not sent before the end. */
async function setUp() {
  const telemetry = new Telemetry()
  const told: RelayEvent[] = []
  telemetry.subscribe((event) => void told.push(event))
  const transport = memoryTransport({ partitions: 1 })
  const end = new AbortController()
  onTestFinished(() => end.abort())
  const { signal } = end
  const hand = new Hand({ handRows: 1, handBytes: 1_000 })
  const [moved, parked]: [number[], string[]] = [[], []]
  const limits = { batchRecords: 1, batchBytes: 100, requestTimeoutMs: 1, maxRowBytes: 1_000 }
  const moveBehind = ({ id }: CarriedRow) => void moved.push(id)
  const park = (_: CarriedRow, reason: string, error: string) => void parked.push(`${reason}: ${error}`)
  const topics = new Topics({
    clock: systemClock,
    telemetry,
    hand,
    claims: new Claims(),
    transport,
    signal,
    gate: new Gate({ transport, clock: systemClock, telemetry, signal, random: () => 0 }),
    random: () => 0,
    keyless: 'topic',
    onDead: () => 'hold',
    limits,
    settle: () => {},
    park,
    moveBehind,
    resume: () => {},
  })
  const topic = topics.get('t')!
  await expect.poll(() => topic.open, { interval: 1 }).toBe(true)
  const claim = new Claim({ bucket, epoch: 1 }, 0, [])
  return {
    topic,
    lane: topic.lanes[0]!,
    hand,
    claim,
    told,
    moved,
    parked,
    deps: { telemetry, hand, topics, limits, moveBehind, park },
  }
}

type Ground = Awaited<ReturnType<typeof setUp>>
const carried = (given: Partial<OutboxRow>, { claim }: Ground): CarriedRow => ({ ...rowOf(given), claim, heldBytes: 10 })
const full = (ground: Ground) => {
  const row = carried({ id: 1, messageId: 'm1', bucket: (bucket + 2) % 64 }, ground)
  ground.hand.add(row)
  ground.lane.push(row)
}

/** What became of the row, where something did: by default it is neither in hand, nor queued, nor told of. */
interface Became {
  place: 'the lane' | 'none' | 'known' | 'skipped' | 'clash'
  inHand?: boolean
  queued?: boolean
  /** Who owes it. */
  owes?: 'lane' | 'topic'
  moved?: boolean
  parked?: string
  told?: RelayEvent
}

const taken = { place: 'the lane', inHand: true, queued: true } as const
const tooLarge = 'MESSAGE_TOO_LARGE: The message has 3 bytes; the relay carries 1000.'

test.each<[string, { row?: Partial<OutboxRow>; before?: (ground: Ground) => void }, Became]>([
  ['a row goes into its lane', {}, taken],
  ['one in hand is known', { before: (on) => on.hand.add(carried({}, on)) }, { place: 'known', inHand: true }],
  ['one deleted since the fetch was sent is known', { before: (on) => on.hand.deleted(carried({}, on)) }, { place: 'known' }],
  [
    'one whose id is in hand for another message stands in the way of all behind it',
    { before: (on) => on.hand.add(carried({ messageId: 'other' }, on)) },
    { place: 'clash', inHand: true },
  ],
  ['a topic that is not open owes it', { row: { topic: 'paused' } }, { place: 'skipped', owes: 'topic' }],
  [
    'also where it stands below the position: nobody missed it',
    { row: { topic: 'paused' }, before: ({ claim }) => Object.assign(claim, { sweptTo: 7 }) },
    { place: 'skipped', owes: 'topic' },
  ],
  [
    'one behind a dead one of its key is moved there',
    { before: ({ claim }) => claim.hold('t', key, 6) },
    { place: 'none', inHand: true, moved: true },
  ],
  ['one before it is not', { before: ({ claim }) => claim.hold('t', key, 8) }, taken],
  ['one that is too large is parked', { row: { oversized: true } }, { place: 'none', inHand: true, parked: tooLarge }],
  [
    'unless it must wait behind a dead one',
    { row: { oversized: true }, before: ({ claim }) => claim.hold('t', key, 6) },
    { place: 'none', inHand: true, moved: true },
  ],
  ['a full lane owes it', { before: full }, { place: 'the lane', owes: 'lane' }],
  [
    'a lane that owes what was before it owes it too',
    { before: ({ lane }) => lane.debt.owe(bucket, 5) },
    { place: 'the lane', owes: 'lane' },
  ],
  [
    'one at or below the position was missed, which is told',
    { before: ({ claim }) => Object.assign(claim, { sweptTo: 7 }) },
    { ...taken, told: 'row_found_below_position' },
  ],
  ['above it, nothing was missed', { before: ({ claim }) => Object.assign(claim, { sweptTo: 6 }) }, taken],
  [
    'nor what the lane owes',
    { before: ({ claim, lane }) => [Object.assign(claim, { sweptTo: 7 }), lane.debt.owe(bucket, 7)] },
    { place: 'the lane', owes: 'lane' },
  ],
  [
    'nor what the topic owes',
    { before: ({ claim, topic }) => [Object.assign(claim, { sweptTo: 7 }), topic.debt.owe(bucket, 7)] },
    { ...taken, owes: 'topic' },
  ],
  [
    'one in a bucket that is not its key’s is sent, and told',
    { row: { bucket: bucket + 1 } },
    { ...taken, told: 'wrong_bucket' },
  ],
  ['and not before it is taken', { row: { bucket: bucket + 1 }, before: full }, { place: 'the lane', owes: 'lane' }],
])('%s', async (_, { row: given = {}, before = () => {} }, expected) => {
  const ground = await setUp()
  before(ground)
  const { lane, hand, told, moved, parked, deps } = ground
  const [row, load] = [rowOf(given), lane.load]
  const where = place(row, ground.claim, deps)
  const covers = (debt: Lane['debt']) => debt.covers(row.bucket, row.id)
  expect({
    place: where instanceof Lane ? 'the lane' : where,
    inHand: hand.inBucket(row.bucket) === 1,
    queued: lane.load > load,
    owes: covers(lane.debt) ? 'lane' : covers(deps.topics.get(row.topic)!.debt) ? 'topic' : undefined,
    moved: moved.includes(row.id),
    parked: parked[0],
    told: told[0],
  }).toEqual({ inHand: false, queued: false, moved: false, ...expected })
})
