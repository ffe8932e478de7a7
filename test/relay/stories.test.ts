import { expect, test } from 'vitest'
import { inTurn } from './interleavings/in-turn.ts'
import { places, Scene } from './interleavings/scene.ts'

// Faults that random interleavings found, each told by hand: real relays, a modelled database and Kafka, one moment after the other.

const newScene = () => new Scene(inTurn(), { faults: true, notifications: true, stepMs: 20 })

/** Lets moments come until it is so. */
async function until(scene: Scene, there: () => boolean): Promise<void> {
  while (!there()) await scene.world.run(1)
}

test('a request that became unknown while the connection was replaced keeps its bucket as well (rule 3)', async () => {
  const scene = newScene()
  const [relay] = scene.members
  await until(scene, () => scene.db.leases.every((lease) => lease.owner !== null))
  scene.broker.fates.push('acknowledgement lost', 'acknowledgement lost', 'acknowledgement lost')
  scene.write(
    places.findIndex(([topic, key]) => topic === 't' && key === 'a'),
    1,
    false,
  )
  scene.end(scene.open[0]!, 'commit')
  await until(scene, () => scene.judge.requests.size === 1)
  const [request] = scene.judge.requests
  let retaken = false
  relay!.relay.on('leases_taken', () => {
    retaken = true
  })
  relay!.store.lose()
  await until(scene, () => request!.answered)
  expect(relay!.store.sessions.size).toBe(0)
  await until(scene, () => retaken)
  scene.stop(relay!)
  // The judge watches each lease that is given back.
  await scene.heal()
})

test('a lease row that somebody has locked for a while is not a lost lease (rule 15)', async () => {
  const scene = newScene()
  const owned = () => scene.db.leases.filter((lease) => lease.owner !== null && lease.until > scene.db.now)
  await until(scene, () => owned().length === 64)
  const lost: unknown[] = []
  scene.members[0]!.relay.on('leases_lost', (event) => lost.push(event))
  scene.db.locked.add(7)
  // Renewed every second, for three.
  await scene.world.pass(1_800)
  scene.db.locked.clear()
  await scene.world.pass(3_000)
  expect(lost).toEqual([])
  expect(owned().map((lease) => lease.epoch)).toEqual(Array.from({ length: 64 }, () => 1))
  await scene.heal()
})

test('the buckets of a relay that died are taken as soon as its lease is over, whenever the other one looks', async () => {
  const delays: number[] = []
  for (const later of [0, 60, 120, 180, 240]) {
    const scene = new Scene(inTurn(), { faults: true, notifications: true, stepMs: 5 })
    const owned = (member = scene.members[0]!) => scene.db.leases.filter((lease) => lease.owner === member.relay.id).length
    await until(scene, () => owned() === 64)
    await scene.world.pass(later)
    scene.start()
    const [first, second] = scene.members
    await until(scene, () => owned(first) === 32 && owned(second) === 32)
    scene.kill(first!)
    const over = scene.db.relays.get(first!.relay.id)!.seen + 3_000
    await until(scene, () => owned(second) === 64)
    delays.push(scene.db.now - over)
    await scene.heal()
  }
  // 50 ms of grace, and the moments of a few statements; a look of every 300 ms would be late by up to that.
  expect(Math.max(...delays)).toBeLessThan(50 + 100)
})

test.each([
  ['slowly', true],
  ['quickly', false],
])('the relay polls %s where its own notifications come back: %s (rule 19)', async (_, notifications) => {
  const scene = new Scene(inTurn(), { faults: true, notifications, stepMs: 20 })
  await scene.world.pass(5_000)
  let fetches = 0
  scene.members[0]!.relay.on('fetched', () => fetches++)
  await scene.world.pass(3_000)
  // At most once a second, at least every 50 ms and the time of three moments.
  if (notifications) expect(fetches).toBeLessThanOrEqual(4)
  else expect(fetches).toBeGreaterThan(3_000 / (50 + 3 * 20) - 2)
  await scene.heal()
})
