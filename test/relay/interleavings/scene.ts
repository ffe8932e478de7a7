import { bucketOf } from '../../../src/message/key.ts'
import { RelayEngine } from '../../../src/relay/relay.ts'
import { Telemetry } from '../../../src/relay/telemetry.ts'
import { Broker } from './broker.ts'
import { Database, type Writing } from './database.ts'
import { Judge } from './judge.ts'
import { ModelStore } from './store.ts'
import { type Moments, type Process, settle, World } from './world.ts'

/** Small, so that every limit is met within a few messages. */
const options = {
  leaseMs: 3_000,
  requestTimeoutMs: 1_000,
  // As many as four lanes may have in doubt: more would be let go of.
  maxInFlight: 12,
  batchRecords: 3,
  batchBytes: 1_000,
  maxRowBytes: 1_000,
}

/** Relays at once, at most. */
const maxRelays = 3

/** Milliseconds, and moments, within which a healed world must have come to rest. */
const restMs = 90_000
const restMoments = 60_000

/** Two keys of one bucket, so that one can be in another's way. */
const neighbor = Array.from({ length: 10_000 }, (_, i) => `n${i}`).find(
  (key) => bucketOf('t', Buffer.from(key)) === bucketOf('t', Buffer.from('a')),
)!

/** Topics and keys of the messages. */
export const places = [
  ['t', 'a'],
  ['t', neighbor],
  ['t', 'b'],
  ['t', null],
  ['u', 'a'],
] as const

/** What kind of story it is. */
export interface Kind {
  /** Whether faults are injected: without them no message may come twice. */
  faults: boolean
  /** Whether notifications come through. */
  notifications: boolean
  /** Whether relays record batches: then no message may come twice, whatever happens. @default false */
  exactlyOnce?: boolean
  /** Milliseconds that one moment may take, at most. */
  stepMs?: number
}

/** One relay in its process. */
export interface Member {
  process: Process
  store: ModelStore
  relay: RelayEngine
  stopped: boolean
}

/** Real relays between a modelled database and a modelled Kafka. */
export class Scene {
  readonly world: World
  readonly db: Database
  readonly judge: Judge
  readonly broker: Broker
  readonly members: Member[] = []
  readonly open: Writing[] = []
  /** Whether faults are injected. */
  readonly faults: boolean
  readonly #notifications: boolean
  /** Whether the relays are in the exactly-once mode. */
  readonly exactlyOnce: boolean

  constructor(moments: Moments, { faults, notifications, exactlyOnce = false, stepMs = 500 }: Kind) {
    this.world = new World(moments, stepMs)
    this.db = new Database(() => this.world.now)
    this.judge = new Judge(this.world, this.db, options.maxRowBytes)
    this.broker = new Broker(this.world, this.judge)
    this.faults = faults
    this.#notifications = notifications
    this.exactlyOnce = exactlyOnce
    this.judge.exactlyOnce = exactlyOnce
    this.judge.onNotify = (payload) => this.notify(payload)
    this.start()
  }

  /** Relays that were neither stopped nor killed. */
  get working(): Member[] {
    return this.members.filter((member) => !member.stopped && member.process.state !== 'dead')
  }

  get canStart(): boolean {
    return this.working.length < maxRelays
  }

  start(): void {
    const process = this.world.process(`relay ${this.members.length}`)
    const store = new ModelStore(this.world, this.db, this.judge, process)
    const telemetry = new Telemetry()
    telemetry.on('*', (event, fields) => this.judge.told(process, event, fields))
    const relay: RelayEngine = new RelayEngine(
      {
        store,
        transport: this.broker.transport(process, () => relay.id),
        search: this.broker.search(process),
        version: '0',
        telemetry,
        clock: process.clock,
        random: () => 0.5,
        fetchRows: 8,
      },
      { ...options, exactlyOnce: this.exactlyOnce },
    )
    void relay.start()
    this.members.push({ process, store, relay, stopped: false })
  }

  stop(member: Member): void {
    member.stopped = true
    this.judge.letsGo()
    void member.relay.stop()
  }

  kill(member: Member): void {
    this.judge.faulty = true
    member.process.die()
    member.store.lose()
  }

  notify(payload: string): void {
    if (this.#notifications) for (const { store } of this.members) void store.hear(payload)
  }

  write(place: number, rows: number, big: boolean): Writing {
    const writing = this.db.begin()
    const [topic, key] = places[place % places.length]!
    for (let n = 0; n < rows; n++) this.judge.written(this.db.insert(writing, topic, key, big ? 2_000 : 3), writing.vxid)
    this.open.push(writing)
    return writing
  }

  end(writing: Writing, how: 'commit' | 'roll back'): void {
    this.open.splice(this.open.indexOf(writing), 1)
    if (how === 'commit') this.db.commit(writing)
    else this.db.rollBack(writing)
    this.judge.over(writing.rows, how === 'commit' ? 'committed' : 'rolled back')
    if (how === 'commit') this.db.floor = Math.max(this.db.floor, ...writing.rows.map((row) => row.id))
    this.notify('')
  }

  /** The server crashes; with `lost`, another one takes over that never got the last commits. */
  restart(lost: number): void {
    for (const writing of [...this.open]) this.end(writing, 'roll back')
    if (lost > 0) this.#loseCommits(Math.max(0, this.db.floor - lost))
    this.db.restart()
    for (const { store } of this.members) store.lose()
  }

  #loseCommits(floor: number): void {
    const gone = [...this.judge.messages.values()].filter(({ row, fate }) => row.id > floor && fate === 'committed')
    this.judge.over(
      gone.map(({ row }) => row),
      'lost',
    )
    for (const [name, row] of this.db.outbox) if (row.id > floor) this.db.outbox.delete(name)
    const kept = this.db.dead.filter(({ row }) => row.id <= floor)
    this.db.dead.splice(0, this.db.dead.length, ...kept)
    this.db.floor = floor
  }

  /** Ends every fault and waits until nothing is left to do; then stops all relays. */
  async heal(): Promise<void> {
    const { broker, db, judge, world } = this
    broker.fates.length = 0
    broker.poison.clear()
    broker.missing.clear()
    broker.short.clear()
    broker.fewer.clear()
    broker.up = true
    broker.holdsLate = false
    db.up = true
    db.locked.clear()
    for (const { store } of this.members) store.slow = false
    for (const writing of [...this.open]) this.end(writing, 'commit')
    for (const { process } of this.members) await process.goOn()
    if (this.working.length === 0) this.start()
    const action = () => {
      // What is too large would be dead-lettered once more.
      for (const dead of db.dead) dead.action = dead.row.bytes > options.maxRowBytes ? 'discard' : 'redrive'
    }
    await this.#until(() => {
      action()
      return db.outbox.size === 0 && db.dead.length === 0
    }, 'the outbox is never empty')
    for (const member of this.working) this.stop(member)
    const ends = this.members.filter(({ process }) => process.state !== 'dead').map(({ relay }) => relay.stop())
    let ended = false
    void Promise.all(ends).then(() => {
      ended = true
    })
    await settle()
    await this.#until(() => ended, 'a relay does not end')
    judge.close()
    if (world.broken) throw world.broken
  }

  async #until(there: () => boolean, otherwise: string): Promise<void> {
    const { world } = this
    const until = world.now + restMs
    for (let moments = 0; !there(); moments++) {
      if (world.now > until || moments > restMoments) throw new Error(`${otherwise} within ${restMs} ms`)
      await world.run(1)
    }
  }
}
