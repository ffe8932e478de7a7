import { keyDigest } from '../../../src/message/key-digest.ts'
import { nameOf as batchName } from '../../../src/relay/settle/settlement.ts'
import { clusterMark } from '../../../src/running/cluster-mark.ts'
import type { Line } from '../../../src/store/postgres/line.ts'
import { LowWaterMark } from '../../../src/store/postgres/low-water-mark.ts'
import type { Statements } from '../../../src/store/postgres/statements.ts'
import type {
  BlockedKey,
  Fetch,
  Fetched,
  Identity,
  Lease,
  OutboxRow,
  RowName,
  Store,
  StoreSession,
} from '../../../src/store/store.ts'
import { type Database, nameOf } from './database.ts'
import type { Judge } from './judge.ts'
import { deadLetter, discard, moveBlocked, redrive } from './moves.ts'
import type { Process, World } from './world.ts'

/** Milliseconds after which the server gives a statement up; those that move rows, a part of the lease. */
const statementMs = 5_000

/** Milliseconds beyond that after which the client gives the connection up. */
const graceMs = 3_000

/** The database as one process reaches it. */
export class ModelStore implements Store {
  readonly #world: World
  readonly #db: Database
  readonly #judge: Judge
  readonly #process: Process
  readonly sessions = new Set<ModelSession>()
  readonly #ears = new Set<(payload: string) => void>()
  /** While true, statements of this process do not reach their moment. */
  slow = false

  constructor(world: World, db: Database, judge: Judge, process: Process) {
    this.#world = world
    this.#db = db
    this.#judge = judge
    this.#process = process
  }

  async connect(me: Identity): Promise<StoreSession> {
    await this.#world.moment(`${this.#process.name} connect`)
    if (!this.#db.up) throw new Error('The database does not answer.')
    const session = new ModelSession(this.#world, this.#db, this.#judge, this.#process, this, me)
    this.sessions.add(session)
    return session
  }

  listen(onNotify: (payload: string) => void): void {
    this.#ears.add(onNotify)
  }

  async hear(payload: string): Promise<void> {
    await this.#world.moment(`${this.#process.name} hears ${payload.slice(0, 5)}`)
    for (const ear of this.#ears) this.#process.deliver(() => ear(payload))
  }

  /** All connections break. */
  lose(): void {
    for (const session of [...this.sessions]) session.lose(new Error('The connection is gone.'))
  }
}

type Rest = Omit<StoreSession, 'lost' | 'close'>

/** {@link StoreSession} on the tables of the model: three lines, on each one statement after another. */
export class ModelSession implements StoreSession {
  readonly lost: Promise<Error>
  #lose!: (error: Error) => void
  #over: Error | undefined
  readonly #me: Identity
  readonly #world: World
  readonly #db: Database
  readonly #judge: Judge
  readonly #process: Process
  readonly #store: ModelStore
  readonly #turns = { read: Promise.resolve(), write: Promise.resolve(), lease: Promise.resolve() } as Record<
    string,
    Promise<unknown>
  >
  readonly #waiting = new Set<(error: Error) => void>()
  readonly #mark: LowWaterMark

  constructor(world: World, db: Database, judge: Judge, process: Process, store: ModelStore, me: Identity) {
    this.#world = world
    this.#db = db
    this.#judge = judge
    this.#process = process
    this.#store = store
    this.#me = me
    this.lost = new Promise((resolve) => {
      this.#lose = resolve
    })
    // The real mark, on a line of the model.
    const line = {
      rows: (sql: string) => this.#results(sql).then((all) => all.at(-1)),
      results: (sql: string) => this.#results(sql),
    }
    const names = { lastId: () => 'lastId', writers: () => 'writers' }
    this.#mark = new LowWaterMark(line as unknown as Line, names as unknown as Statements, (error) => this.lose(error))
  }

  /** The connections are gone: what was sent may still take effect. */
  lose(error: Error): void {
    if (this.#over) return
    this.#end(error)
    this.#process.deliver(() => this.#lose(error))
  }

  async close(): Promise<void> {
    if (!this.#over) this.#end(new Error('The session was closed.'))
  }

  #end(error: Error): void {
    this.#over = error
    this.#store.sessions.delete(this)
    for (const fail of [...this.#waiting]) this.#process.deliver(() => fail(error))
  }

  /** One statement: it takes effect at a moment of its own, and its answer arrives at another, or never. */
  #do<T>(line: 'read' | 'write' | 'lease', label: string, effect: () => T, limitMs = statementMs): Promise<T> {
    const sent = this.#turns[line]!.then(() => {
      if (this.#over) throw this.#over
      return this.#send(label, effect, limitMs)
    })
    this.#turns[line] = sent.catch(() => {})
    return sent
  }

  #send<T>(label: string, effect: () => T, limitMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.add(reject)
      const { name } = this.#process
      const sentAt = this.#world.now
      const act = async () => {
        await this.#world.moment(`${name} ${label}`)
        while (this.#store.slow) {
          await this.#world.moment(`${name} ${label} waits`)
          if (this.#world.now - sentAt > limitMs + graceMs) this.lose(new Error('The database did not answer.'))
        }
        let answer: () => void
        if (this.#world.now - sentAt > limitMs)
          answer = () => reject(Object.assign(new Error('canceling statement due to statement timeout'), { code: '57014' }))
        else if (!this.#db.up) answer = () => reject(new Error('The database does not answer.'))
        else {
          const result = effect()
          this.#judge.look()
          answer = () => resolve(result)
        }
        await this.#world.moment(`${name} ${label} answered`)
        this.#process.deliver(() => {
          this.#waiting.delete(reject)
          answer()
        })
      }
      void act()
    })
  }

  /** The two questions of the mark are two statements of one message: writers may come in between. */
  #results(sql: string): Promise<unknown[][]> {
    const started = () => [{ id: String(this.#db.sequence), started: String(this.#db.started) }]
    if (sql === 'lastId') return this.#do('lease', sql, () => [started()])
    const first = this.#do('lease', 'mark: last id', started)
    const second = this.#do('lease', 'mark: writers', () => [...this.#db.writers].map(({ vxid }) => ({ vxid })))
    second.catch(() => {})
    return first.then(async (drawn) => [drawn, await second])
  }

  readonly #leases = (which: (lease: Database['leases'][number], bucket: number) => boolean): Lease[] =>
    this.#db.leases.flatMap((lease, bucket) => (which(lease, bucket) ? [{ bucket, epoch: lease.epoch }] : []))

  #grant(bucket: number, raise: number): Lease {
    const lease = this.#db.leases[bucket]!
    lease.epoch += raise
    Object.assign(lease, { owner: this.#me.id, until: this.#db.now + this.#me.leaseMs, leaseMs: this.#me.leaseMs })
    return { bucket, epoch: lease.epoch }
  }

  readonly beat: Rest['beat'] = ({ alive, ackedMsAgo, answeredMsAgo }) =>
    this.#do('lease', 'beat', () => {
      const { relays, now } = this.#db
      const acked = ackedMsAgo === null ? (relays.get(this.#me.id)?.acked ?? null) : now - ackedMsAgo
      const answered = answeredMsAgo === null ? null : now - answeredMsAgo
      const started = relays.get(this.#me.id)?.started ?? now
      if (alive) relays.set(this.#me.id, { seen: now, acked, answered, started, leaseMs: this.#me.leaseMs })
      else relays.delete(this.#me.id)
      const peers = [...relays]
        .filter(([id, one]) => id !== this.#me.id && one.seen > now - this.#me.leaseMs)
        .map(([, one]) => one)
      const youngest = (times: (number | null)[]) => {
        const ages = times.flatMap((at) => (at === null ? [] : [now - at]))
        return ages.length === 0 ? null : Math.min(...ages)
      }
      const ends = peers.map((one) => one.seen + this.#me.leaseMs - now)
      const recent = (at: number | null) => at !== null && at > now - this.#me.leaseMs
      return {
        relays: peers.length + 1,
        peerAnsweredMsAgo: youngest(peers.map((one) => one.answered)),
        sharing: peers.filter((one) => recent(one.answered) || recent(one.started)).length,
        peerAckedMsAgo: youngest(peers.map((one) => one.acked)),
        peerEndsInMs: ends.length === 0 ? null : Math.min(...ends),
      }
    })

  readonly take: Rest['take'] = (count) =>
    this.#do('lease', 'take', () => {
      const { now, locked } = this.#db
      const free = this.#leases(
        (lease, bucket) =>
          !locked.has(bucket) && (lease.owner === null || lease.until < now || lease.until > now + lease.leaseMs),
      )
      return free.slice(0, count).map(({ bucket }) => {
        const abandoned = this.#db.leases[bucket]!.owner !== null
        return { ...this.#grant(bucket, 1), abandoned }
      })
    })

  readonly deaths: Rest['deaths'] = () => this.#do('lease', 'deaths', () => 0)

  readonly retake: Rest['retake'] = () =>
    this.#do('lease', 'retake', () => {
      const own = this.#leases((lease, bucket) => lease.owner === this.#me.id && !this.#db.locked.has(bucket))
      return own.map(({ bucket }) => this.#grant(bucket, 1))
    })

  readonly renew: Rest['renew'] = (leases) =>
    this.#do('lease', 'renew', () => {
      const mine = leases.filter(({ bucket, epoch }) => {
        const running = this.#db.leases[bucket]!.until > this.#db.now
        return running && this.#db.mine(bucket, this.#me.id, epoch) && !this.#db.locked.has(bucket)
      })
      return mine.map(({ bucket }) => this.#grant(bucket, 0))
    })

  readonly owned: Rest['owned'] = () =>
    this.#do('lease', 'owned', () => this.#leases((lease) => lease.owner === this.#me.id && lease.until > this.#db.now))

  readonly release: Rest['release'] = (leases) =>
    this.#do('lease', 'release', () => {
      const mine = leases.filter(({ bucket, epoch }) => this.#db.mine(bucket, this.#me.id, epoch)).map(({ bucket }) => bucket)
      for (const bucket of mine) {
        this.#judge.released(this.#process, bucket)
        this.#db.leases[bucket]!.owner = null
      }
      return mine
    })

  #blockedKeys(fits: (hold: BlockedKey) => boolean): BlockedKey[] {
    const all = this.#db.dead.filter(this.#db.isHead)
    return all.map(({ row }) => ({ bucket: row.bucket, digest: keyDigest(row.topic, row.key!), id: row.id })).filter(fits)
  }

  readonly blockedKeys: Rest['blockedKeys'] = (buckets) =>
    this.#do('lease', 'blockedKeys', () => ({
      keys: this.#blockedKeys(({ bucket }) => buckets.includes(bucket)),
      next: undefined,
    }))

  /** Ids never restart here. */
  readonly restartedBlockedKeys: Rest['restartedBlockedKeys'] = async () => []

  readonly blockedKeysOf: Rest['blockedKeysOf'] = (bucket, digests) =>
    this.#do('lease', 'blockedKeys', () => this.#blockedKeys((hold) => hold.bucket === bucket && digests.includes(hold.digest)))

  readonly fetch: Rest['fetch'] = (what) => this.#do('read', 'fetch', () => fetched(this.#db, what))

  mark = (): Promise<number> => this.#mark.read()
  lastId = (): Promise<number> => this.#mark.lastId()

  readonly remaining: Rest['remaining'] = (upTo) =>
    this.#do('lease', 'remaining', () => [...this.#db.outbox.values()].filter((row) => row.id <= upTo).length)

  readonly settle: Rest['settle'] = (rows: readonly RowName[]) =>
    this.#do('write', 'settle', () => {
      for (const row of rows) this.#delete(row)
      return 'done' as const
    })

  #delete(row: RowName): void {
    this.#judge.settled(this.#process, row)
    if (this.#db.outbox.get(nameOf(row))?.messageId === row.messageId) this.#db.outbox.delete(nameOf(row))
  }

  /** Nobody locks rows here. */
  readonly settleUnlocked: Rest['settleUnlocked'] = async (rows) => {
    await this.settle(rows)
    return []
  }

  readonly deadLetter: Rest['deadLetter'] = (lease, row, why) => {
    this.#judge.parking(row)
    return this.#do('write', 'deadLetter', () => deadLetter(this.#db, this.#me.id, lease, row, why), this.#me.leaseMs / 2)
  }

  readonly record: Rest['record'] = ({ rows, landed, withdrawn, begun, leases }) =>
    this.#do('write', 'record', () => {
      const { batches, recorded } = this.#db
      for (const row of rows) this.#delete(row)
      for (const batch of landed) batches.delete(batchName(batch))
      const mine = leases.filter(({ bucket, epoch }) => this.#db.mine(bucket, this.#me.id, epoch) && !this.#db.locked.has(bucket))
      const held = new Set(mine.map(({ bucket }) => bucket))
      const away = withdrawn.filter(
        (batch) => batch.rows.some(({ bucket }) => held.has(bucket)) && batches.delete(batchName(batch)),
      )
      for (const batch of begun) {
        if (!batch.rows.every(({ bucket }) => held.has(bucket))) continue
        if (recorded.has(batchName(batch))) this.#world.violated(`${this.#process.name} records numbers for a second time`)
        batches.set(batchName(batch), batch)
        recorded.set(batchName(batch), batch.rows.map(({ messageId }) => messageId).join())
      }
      return { held, withdrawn: away.length }
    })

  /** Batches and rows are read by two statements. */
  readonly batchesOf: Rest['batchesOf'] = async (buckets) => {
    const found = await this.#do('lease', 'batchesOf', () =>
      [...this.#db.batches.values()].filter(({ rows }) => rows.some(({ bucket }) => buckets.includes(bucket))),
    )
    if (found.length === 0) return []
    const read = await this.#do('lease', 'rows of batches', () =>
      found.map((batch) => {
        const there = (row: RowName) => {
          const one = this.#db.outbox.get(nameOf(row))
          return one?.messageId === row.messageId ? [{ ...one }] : []
        }
        const rows = batch.rows.flatMap(there)
        const whole = rows.length === batch.rows.length
        return { ...batch, rows, whole, acknowledged: false, ageMs: 0, cluster: clusterMark(batch.cluster) }
      }),
    )
    const states = await Promise.all(read.map(async (batch) => batch.whole || (await this.batchState(batch)) !== 'gone'))
    return read.filter((_, i) => states[i])
  }

  readonly batchState: Rest['batchState'] = (batch) =>
    this.#do('lease', 'batchState', () => (this.#db.batches.has(batchName(batch)) ? 'recorded' : 'gone'))

  /** All relays of a story have one mode. */
  readonly enterMode: Rest['enterMode'] = async () => 'entered'

  /** The model draws its ids itself. */
  readonly deadLetterStrays: Rest['deadLetterStrays'] = async () => ({ fenced: false, rows: [] })

  readonly moveBlocked: Rest['moveBlocked'] = (lease, rows) =>
    this.#do('write', 'moveBlocked', () => moveBlocked(this.#db, this.#me.id, lease, rows), this.#me.leaseMs / 2)

  readonly requested: Rest['requested'] = (buckets) =>
    this.#do('lease', 'requested', () =>
      buckets.flatMap((bucket) =>
        (['discard', 'redrive'] as const).flatMap((action) =>
          this.#db.dead.some((dead) => dead.row.bucket === bucket && dead.action === action) ? [{ bucket, action }] : [],
        ),
      ),
    )

  readonly redrive: Rest['redrive'] = (lease, most) =>
    this.#do('write', 'redrive', () => redrive(this.#db, this.#me.id, lease, most), this.#me.leaseMs / 2)

  readonly discard: Rest['discard'] = (lease) =>
    this.#do(
      'write',
      'discard',
      () => {
        const found = discard(this.#db, this.#me.id, lease)
        for (const row of found.rows) this.#judge.discarded(row.messageId)
        return found
      },
      this.#me.leaseMs / 2,
    )

  readonly notify: Rest['notify'] = (payload) => this.#do('lease', 'notify', () => void this.#judge.notified(payload))

  readonly farewell: Rest['farewell'] = () => this.#do('lease', 'farewell', () => void this.#db.relays.delete(this.#me.id))
}

function fetched(db: Database, what: Fetch): Fetched {
  const rows: OutboxRow[] = []
  let bytes = 0
  for (const scan of what.scans) {
    const found = [...db.outbox.values()]
      .filter((row) => row.bucket === scan.bucket && row.id > scan.after && !what.withoutIds.includes(row.id))
      .sort((a, b) => a.id - b.id)
      .slice(0, what.withoutTopics.length > 0 ? scan.look : undefined)
      .filter((row, at) => !what.withoutTopics.includes(row.topic) || at === scan.look - 1)
    for (const row of found.slice(0, scan.limit)) {
      if (rows.length === what.limit) return { rows, truncated: false }
      const oversized = row.bytes > what.maxRowBytes
      if (!oversized) bytes += row.bytes
      rows.push({ ...row, value: oversized ? null : row.value, oversized })
      if (bytes >= what.maxBytes) return { rows, truncated: true }
    }
  }
  return { rows, truncated: false }
}
