import { type Evidence, listed, type Send } from '../../src/proof/evidence.ts'
import type { BatchKey, LeaseName, MonotonicMs, Trace, TracedBatch, TraceLine } from '../../src/proof/history.ts'

/** A record that was made, as its relay knows. */
export interface Recording extends TracedBatch {
  relay: string
  sentAt: MonotonicMs
  answeredAt: MonotonicMs
  leases: readonly LeaseName[]
}

/** A record with all of its rows, as a relay read it from the table. */
export interface Adopted extends TracedBatch {
  relay: string
  at: MonotonicMs
}

/** The end of a record; `at`: when its statement was sent. */
export interface Ending {
  batch: BatchKey
  relay: string
  at: MonotonicMs
  /** Rows of the batch, as far as the relay knew them. */
  ids: readonly string[]
}

/** A search of the log for a batch. */
export interface Search {
  relay: string
  ids: readonly string[]
  /** Null: the log could not be read. */
  found: number | null
  after: MonotonicMs
  at: MonotonicMs
}

type Line<W extends TraceLine['what']> = Extract<TraceLine, { what: W }>

/** What the traces tell of recorded batches, for the checks of the exactly-once mode. */
export class Batches {
  /** Records that were answered, by their numbers. */
  readonly recordings = new Map<BatchKey, Recording[]>()
  readonly adoptions = new Map<BatchKey, Adopted[]>()
  /** When a relay read the records of a bucket, by `relay/bucket`. */
  readonly reads = new Map<string, { after: MonotonicMs; at: MonotonicMs }[]>()
  /** When a bucket was claimed, by its number. */
  readonly grants = new Map<number, { relay: string; epoch: number; at: MonotonicMs }[]>()
  /** Records that were deleted with their last rows. */
  readonly landings: Omit<Ending, 'ids'>[] = []
  /** Records that were deleted so that their rows can be sent otherwise. */
  readonly withdrawals: Ending[] = []
  readonly searches: Search[] = []
  readonly sends = new Map<BatchKey, Send[]>()
  readonly #deletedAt = new Map<string, MonotonicMs>()
  readonly #foundAt = new Map<string, MonotonicMs>()
  readonly #endedAt = new Map<BatchKey, MonotonicMs>()

  constructor({ history, sends }: Evidence) {
    for (const send of sends) if (send.numbers) listed(this.sends, send.numbers).push(send)
    for (const trace of history.traces ?? []) this.#read(trace)
    for (const { ids, found, at } of this.searches)
      if (found === ids.length) for (const id of ids) earliest(this.#foundAt, id, at)
    this.#findEnds(sends)
  }

  /** When a delete of the row was first sent. */
  deletedAt(id: string): MonotonicMs {
    return this.#deletedAt.get(id) ?? Number.POSITIVE_INFINITY
  }

  /** When a search had first found the batch of the message in the log. */
  foundAt(id: string): MonotonicMs {
    return this.#foundAt.get(id) ?? Number.POSITIVE_INFINITY
  }

  /** When nobody had to send the batch any more: it was acknowledged, found, or withdrawn. */
  endedAt(batch: BatchKey): MonotonicMs {
    return this.#endedAt.get(batch) ?? Number.POSITIVE_INFINITY
  }

  #read({ relay, lines }: Trace): void {
    const asked = new Map<number, Line<'records'>>()
    const known = new Map<BatchKey, readonly string[]>()
    for (const line of lines) {
      if (line.what === 'records') {
        asked.set(line.statement, line)
        for (const { batch, ids } of line.begun) known.set(batch, ids)
        for (const batch of line.withdrawn) this.withdrawals.push({ batch, relay, at: line.at, ids: known.get(batch) ?? [] })
      } else if (line.what === 'recorded') this.#recorded(relay, asked.get(line.statement)!, line)
      else if (line.what === 'adopts') {
        for (const one of line.batches) {
          known.set(one.batch, one.ids)
          listed(this.adoptions, one.batch).push({ ...one, relay, at: line.at })
        }
        for (const bucket of line.buckets) listed(this.reads, `${relay}/${bucket}`).push(line)
      } else if (line.what === 'searched') this.searches.push({ relay, ...line })
      else if (line.what === 'settles') for (const id of line.ids) earliest(this.#deletedAt, id, line.at)
      else if (line.what === 'owns' && line.how !== 'renew') {
        for (const [bucket, epoch] of line.leases) listed(this.grants, bucket).push({ relay, epoch, at: line.at })
      }
    }
  }

  #recorded(relay: string, asked: Line<'records'>, { held, at: answeredAt }: Line<'recorded'>): void {
    const { begun, landed, leases, at: sentAt } = asked
    if (held) this.landings.push(...landed.map((batch) => ({ batch, relay, at: sentAt })))
    for (const one of begun) {
      if (!one.buckets.every((bucket) => held?.includes(bucket))) continue
      listed(this.recordings, one.batch).push({ ...one, relay, sentAt, answeredAt, leases })
    }
  }

  #findEnds(sends: readonly Send[]): void {
    for (const { outcome, numbers, endedAt } of sends)
      if (outcome === 'acked' && numbers) earliest(this.#endedAt, numbers, endedAt)
    for (const { batch, at } of this.withdrawals) earliest(this.#endedAt, batch, at)
    for (const [batch, [first]] of this.recordings) {
      const found = Math.max(...first!.ids.map((id) => this.foundAt(id)))
      if (Number.isFinite(found)) earliest(this.#endedAt, batch, found)
    }
  }
}

function earliest<K>(times: Map<K, MonotonicMs>, key: K, at: MonotonicMs): void {
  times.set(key, Math.min(at, times.get(key) ?? at))
}
