import type { BatchName, BatchState, BatchWork, StoreSession, Unsettled } from '../../store/store.ts'
import type { Outcome } from '../../transport/transport.ts'
import type { RelayContext } from '../context.ts'
import type { CarriedRow } from '../state/claim.ts'
import { Signal } from '../state/signal.ts'
import { inOrder, LeftRows } from './left-rows.ts'
import { findBatch } from './search.ts'
import { type Decided, type NumberedBatch, nameOf, type Settlement } from './settlement.ts'
import { rest } from './settler.ts'

/** A batch that is to be recorded before it is sent. */
interface Begun {
  readonly batch: NumberedBatch
  readonly resolve: (withheld: ReadonlySet<number>) => void
  readonly reject: (error: unknown) => void
}

const nothing: BatchWork = { rows: [], landed: [], acknowledged: [], withdrawn: [], begun: [], leases: [] }

/**
 * The settler of the exactly-once mode: one statement outstanding, which deletes what Kafka has acknowledged and records what is about to be sent.
 * A batch is over, or is marked as acknowledged, before the next one of its lane is recorded.
 * Keeps rules 12, 26, 27 and 28 of docs/protocol.md.
 */
export class Recorder implements Settlement {
  readonly records = true
  readonly #context: RelayContext
  readonly #left: LeftRows
  readonly #changed: Signal
  /** Batches that are recorded as far as this relay knows, by their names. The lanes add them, an adoption asks for them. */
  readonly #known = new Map<string, NumberedBatch>()
  /** Names of those that another relay, or an earlier session, has recorded. */
  readonly #adopted = new Set<string>()
  /** Batches that ended while an adoption was reading: what it has read of them is out of date. */
  #landings: Set<string> | undefined
  #begun: Begun[] = []
  /** Acknowledged; their rows are in `state.acked`. */
  #ended: NumberedBatch[] = []
  /** Acknowledged, with rows that somebody has locked. */
  #held: NumberedBatch[] = []
  /** Batches of which no row is left. */
  #gone: BatchName[] = []
  /** Rare questions and changes. Each stays until a session has answered it. */
  readonly #asked: ((session: StoreSession) => Promise<void>)[] = []

  constructor(context: RelayContext) {
    this.#context = context
    this.#left = new LeftRows(context)
    this.#changed = new Signal(context.clock)
  }

  begin(batch: NumberedBatch): Promise<ReadonlySet<number>> {
    return new Promise((resolve, reject) => {
      this.#begun.push({ batch, resolve, reject })
      this.#changed.raise()
    })
  }

  acknowledged(rows: readonly CarriedRow[], batch: BatchName | undefined): void {
    if (batch) this.#ended.push({ ...batch, rows, recordedAt: 0 })
    this.#context.state.acked.push(rows)
    this.#changed.raise()
  }

  left(batch: BatchName): void {
    this.#known.delete(nameOf(batch))
    this.#adopted.delete(nameOf(batch))
  }

  /** Whether a batch that it has adopted is still recorded. */
  get hasAdopted(): boolean {
    return this.#adopted.size + this.#gone.length > 0
  }

  /** The batch of that name, if this relay knows it. */
  known(batch: BatchName): NumberedBatch | undefined {
    return this.#known.get(nameOf(batch))
  }

  /** An adoption begins to read. Returns the names of the batches that end from now on. */
  watchLandings(): ReadonlySet<string> {
    this.#landings = new Set()
    return this.#landings
  }

  /** This relay goes on with a batch that another one, or itself in an earlier session, has recorded. */
  adopt(batch: NumberedBatch): void {
    this.#known.set(nameOf(batch), batch)
    this.#adopted.add(nameOf(batch))
  }

  /** No row of the batch is left. */
  landed(batch: BatchName): void {
    this.#gone.push(batch)
    this.#changed.raise()
  }

  stateOf(batch: NumberedBatch): Promise<BatchState> {
    return this.#ask((session) => session.batchState(batch))
  }

  async decide(batch: NumberedBatch, outcome: Outcome, doubtful: boolean): Promise<Decided> {
    if (outcome.kind === 'acked') return outcome
    const { code, error } = outcome
    // Sent again under its numbers, which is never wrong.
    const again: Outcome = { kind: 'not-written', scope: 'transient', code, error }
    if (doubtful) {
      const state = await this.stateOf(batch)
      if (state === 'gone') return this.#isGone(batch)
      const found = state === 'acknowledged' || (await findBatch(this.#context, batch))
      if (found === undefined) return again
      if (found) return { kind: 'acked', baseOffset: -1n }
    }
    const { claims } = this.#context.state
    const leases = [...new Set(batch.rows.map(({ bucket }) => bucket))].flatMap((bucket) => claims.get(bucket) ?? [])
    const done = await this.#ask((session) => session.record({ ...nothing, withdrawn: [batch], leases }))
    if (done === 'locked' || done.held.size === 0) return again
    if (done.withdrawn === 0) return this.#isGone(batch)
    this.left(batch)
    return outcome
  }

  async run(session: StoreSession, signal: AbortSignal): Promise<void> {
    const { acked } = this.#context.state
    while (!signal.aborted) {
      for (let next = this.#asked[0]; next; next = this.#asked[0]) {
        await next(session)
        this.#asked.shift()
      }
      if (await this.#left.retry(session)) this.#release()
      if (acked.length + this.#begun.length + this.#gone.length + this.#asked.length === 0) {
        await this.#changed.wait(signal, this.#left.dueMs)
        continue
      }
      // What ends rests for a moment, what begins does not.
      if (this.#begun.length + this.#asked.length === 0 && acked.length < rest.rows) await this.#changed.wait(signal, rest.ms)
      if (!signal.aborted) await this.#record(session)
    }
  }

  async #record(session: StoreSession): Promise<void> {
    const { clock, state } = this.#context
    const rows = inOrder(state.acked.first(Number.POSITIVE_INFINITY))
    const [ended, gone, begun] = [this.#ended.splice(0), this.#gone.splice(0), this.#begun.splice(0)]
    const batches = begun.map(({ batch }) => batch)
    const sentAt = clock.now()
    let left: Unsettled[] = []
    let waits = false
    try {
      const work = { ...nothing, begun: batches, leases: leasesOf(batches) }
      const done = await session.record({ ...work, rows, landed: [...ended, ...gone] })
      if (done === 'locked') {
        // First it is durable that nobody has to send them any more: then their rows can go one by one.
        const marked = await session.record({ ...work, landed: gone, acknowledged: ended })
        if (marked === 'locked') throw new Error('A recorded batch is locked.')
        this.#answer(begun.splice(0), marked.held)
        left = await session.settleUnlocked(rows)
        this.#held.push(...ended)
        waits = true
      } else {
        this.#answer(begun.splice(0), done.held)
        for (const batch of ended) this.#isOver(batch)
      }
      for (const batch of gone) this.#isOver(batch)
    } catch (error) {
      this.#ended.unshift(...ended)
      this.#gone.unshift(...gone)
      for (const { reject } of begun) reject(error)
      throw error
    }
    state.acked.taken(rows.length)
    this.#left.settled(rows, left, sentAt)
    if (waits) this.#release()
  }

  /** `held`: buckets whose leases were locked under this relay's epochs. */
  #answer(begun: readonly Begun[], held: ReadonlySet<number>): void {
    for (const { batch, resolve } of begun) {
      const withheld = new Set(batch.rows.map(({ bucket }) => bucket).filter((bucket) => !held.has(bucket)))
      if (withheld.size === 0) this.#known.set(nameOf(batch), batch)
      resolve(withheld)
    }
  }

  /** Batches whose locked rows are deleted by now. */
  #release(): void {
    if (this.#held.length === 0) return
    this.#gone.push(...this.#held.filter(({ rows }) => !rows.some((row) => this.#left.has(row))))
    this.#held = this.#held.filter(({ rows }) => rows.some((row) => this.#left.has(row)))
  }

  #isOver(batch: BatchName): void {
    this.left(batch)
    this.#landings?.add(nameOf(batch))
  }

  #isGone(batch: BatchName): 'gone' {
    this.left(batch)
    return 'gone'
  }

  #ask<T>(question: (session: StoreSession) => Promise<T>): Promise<T> {
    return new Promise((resolve) => {
      this.#asked.push(async (session) => resolve(await question(session)))
      this.#changed.raise()
    })
  }
}

/** The leases under which the rows of these batches were read, each once. */
function leasesOf(batches: readonly NumberedBatch[]) {
  const leases = new Map<string, { bucket: number; epoch: number }>()
  for (const { rows } of batches) for (const { claim } of rows) leases.set(`${claim.bucket}/${claim.epoch}`, claim)
  return [...leases.values()]
}
