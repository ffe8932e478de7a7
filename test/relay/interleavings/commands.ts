import fc from 'fast-check'
import { fates } from './broker.ts'
import type { Member, Scene } from './scene.ts'

/** What can happen: with two numbers that say to whom, or how much. */
interface Happening {
  /** Only where faults are injected. */
  fault?: boolean
  /** How often, compared with others; 1 where it is missing. */
  weight?: number
  can?: (scene: Scene) => boolean
  run: (scene: Scene, a: number, b: number) => Promise<void> | void
}

const one = (scene: Scene, a: number): Member => scene.working[a % scene.working.length]!
const any = (scene: Scene): boolean => scene.working.length > 0

const happenings: Record<string, Happening> = {
  run: { weight: 12, run: (scene, a, b) => scene.world.run(1 + ((a * b) % 120)) },
  pass: { weight: 2, run: (scene, a) => scene.world.pass(200 * (1 + (a % 20))) },
  write: { weight: 12, run: (scene, a, b) => scene.end(scene.write(a, 1 + (b % 4), false), 'commit') },
  begin: { weight: 3, run: (scene, a, b) => void scene.write(a, 1 + (b % 3), false) },
  writeBig: { run: (scene, a) => scene.end(scene.write(a, 1, true), 'commit') },
  commit: {
    weight: 2,
    can: ({ open }) => open.length > 0,
    run: (scene, a) => scene.end(scene.open[a % scene.open.length]!, 'commit'),
  },
  rollBack: { can: ({ open }) => open.length > 0, run: (scene, a) => scene.end(scene.open[a % scene.open.length]!, 'roll back') },
  start: { weight: 2, can: ({ canStart }) => canStart, run: (scene) => scene.start() },
  stop: { can: any, run: (scene, a) => scene.stop(one(scene, a)) },
  refuse: {
    weight: 3,
    can: ({ db }) => db.outbox.size > 0,
    run: ({ broker, db, judge }, a, b) => {
      // A batch in doubt may be split.
      judge.letsGo()
      const row = [...db.outbox.values()][a % db.outbox.size]!
      broker.poison.add(row.messageId)
      broker.wasPoison.add(row.messageId)
      broker.names = b % 2 === 0
    },
  },
  accept: { run: ({ broker }) => broker.poison.clear() },
  redrive: {
    weight: 2,
    can: ({ db }) => db.dead.length > 0,
    run: (scene, a) => {
      scene.db.dead[a % scene.db.dead.length]!.action = 'redrive'
      scene.notify('request')
    },
  },
  discard: {
    can: ({ db }) => db.dead.length > 0,
    run: (scene, a) => {
      scene.db.dead[a % scene.db.dead.length]!.action = 'discard'
      scene.notify('request')
    },
  },
  topicGone: { run: ({ broker }, a) => void broker.missing.add(a % 2 ? 't' : 'u') },
  replicasGone: { weight: 2, run: ({ broker }, a, b) => void broker.short.add(`${a % 2 ? 't' : 'u'}/${b % 2}`) },
  replicasBack: { run: ({ broker }) => broker.short.clear() },
  fewerPartitions: {
    fault: true,
    run: ({ broker, judge }, a) => {
      judge.moved = true
      broker.fewer.add(a % 2 ? 't' : 'u')
    },
  },
  partitionsBack: { fault: true, can: ({ broker }) => broker.fewer.size > 0, run: ({ broker }) => broker.fewer.clear() },
  topicBack: { run: ({ broker }) => broker.missing.clear() },
  answer: {
    weight: 3,
    run: ({ broker }, a, b) => {
      const fate = fates[a % fates.length]!
      for (let n = 0; n <= b % 3; n++) broker.fates.push(fate)
    },
  },
  kafkaDown: {
    run: ({ broker }) => {
      broker.up = false
    },
  },
  kafkaUp: {
    run: ({ broker }) => {
      broker.up = true
    },
  },
  kafkaCatchesUp: {
    fault: true,
    run: async ({ broker, world }) => {
      broker.holdsLate = false
      await world.run(30)
      broker.holdsLate = true
    },
  },
  stand: { fault: true, weight: 2, can: any, run: (scene, a) => one(scene, a).process.stand() },
  goOn: { fault: true, weight: 2, can: any, run: (scene, a) => one(scene, a).process.goOn() },
  kill: { fault: true, can: any, run: (scene, a) => scene.kill(one(scene, a)) },
  loseSession: { fault: true, weight: 2, can: any, run: (scene, a) => one(scene, a).store.lose() },
  slow: {
    fault: true,
    can: any,
    run: (scene, a) => {
      one(scene, a).store.slow = true
    },
  },
  quick: {
    fault: true,
    weight: 2,
    can: any,
    run: (scene) =>
      scene.members.forEach(({ store }) => {
        store.slow = false
      }),
  },
  restart: { fault: true, run: (scene) => scene.restart(0) },
  // Records are lost with the commits, and what they would have kept from being sent twice.
  failOver: { fault: true, can: ({ exactlyOnce }) => !exactlyOnce, run: (scene, a) => scene.restart(1 + (a % 3)) },
  databaseDown: {
    fault: true,
    run: ({ db }) => {
      db.up = false
    },
  },
  databaseUp: {
    fault: true,
    weight: 2,
    run: ({ db }) => {
      db.up = true
    },
  },
  lock: { run: ({ db }, a, b) => void db.locked.add((a * 7 + b) % 64) },
  unlock: { run: ({ db }) => db.locked.clear() },
  turnClock: {
    fault: true,
    run: ({ db, judge }, a, b) => {
      judge.turned = true
      db.offset += (a % 2 ? 1 : -1) * 500 * (b % 12)
    },
  },
}

/** One thing that happens, as fast-check draws, repeats and leaves it out. */
class Happens implements fc.AsyncCommand<Scene, Scene> {
  readonly #name: string
  readonly #a: number
  readonly #b: number

  constructor(name: string, a: number, b: number) {
    this.#name = name
    this.#a = a
    this.#b = b
  }

  check(scene: Readonly<Scene>): boolean {
    const { fault = false, can = () => true } = happenings[this.#name]!
    return (scene.faults || !fault) && can(scene as Scene)
  }

  async run(_: Scene, scene: Scene): Promise<void> {
    if (happenings[this.#name]!.fault) scene.judge.faulty = true
    await happenings[this.#name]!.run(scene, this.#a, this.#b)
    scene.judge.look()
    if (scene.world.broken) throw scene.world.broken
  }

  toString(): string {
    return `${this.#name}(${this.#a},${this.#b})`
  }
}

const number = fc.nat({ max: 23 })

/** Sequences of what happens. */
export const story = (length: number) =>
  fc.commands(
    Object.entries(happenings).flatMap(([name, { weight = 1 }]) =>
      Array.from({ length: weight }, () => fc.tuple(number, number).map(([a, b]) => new Happens(name, a, b))),
    ),
    { maxCommands: length, size: 'max' },
  )
