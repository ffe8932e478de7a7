import { type Batch, bucketsIn, isSame, type Request, type Rows, rowsIn, type State } from './state.ts'

/** What a server answers. */
export type Answer =
  | { is: 'done'; epochs?: number[] }
  // The leases of these buckets, as bits, are not the sender's.
  | { is: 'fenced'; buckets: number }
  // The batch is not recorded any more.
  | { is: 'gone' }
  | { is: 'refused' | 'out of order' }

const done: Answer = { is: 'done' }

/** Carries a request out, now or when its sender has long gone on. */
export function carryOut(state: State, request: Request, mutant?: string): Answer {
  switch (request.what) {
    case 'take':
      return take(state, request)
    case 'retake':
      return { is: 'done', epochs: state.leases.map((lease) => (lease.owner === request.owner ? ++lease.epoch : -1)) }
    case 'record': {
      const lost = lostOf(state, request)
      const enough = mutant === 'records under one lease' && lost.length < bucketsIn(request.batch.rows).length
      if (lost.length > 0 && !enough && mutant !== 'records without leases') return fenced(lost)
      state.records.push(request.batch)
      return done
    }
    case 'withdraw': {
      const lost = lostOf(state, request)
      if (lost.length === bucketsIn(request.batch.rows).length) return fenced(lost)
      return removeRecord(state, request.batch) ? done : { is: 'gone' }
    }
    case 'end':
      state.outbox &= ~request.batch.rows
      removeRecord(state, request.batch)
      return done
    case 'end record':
      removeRecord(state, request.batch)
      return done
    case 'dead-letter': {
      const lost = lostOf(state, { ...request, batch: { producer: -1, sequence: 0, rows: 1 << request.row } })
      if (lost.length > 0) return fenced(lost)
      state.dead |= state.outbox & (1 << request.row)
      state.outbox &= ~(1 << request.row)
      return done
    }
    case 'produce':
      return produce(state, request.batch)
  }
}

function take({ leases, left }: State, { owner, bucket }: { owner: number; bucket: number }): Answer {
  const lease = leases[bucket]!
  if (lease.owner !== -1) return fenced([bucket])
  lease.owner = owner
  lease.epoch++
  left.take--
  return { is: 'done', epochs: leases.map(({ epoch }, i) => (i === bucket ? epoch : -1)) }
}

const fenced = (buckets: readonly number[]): Answer => ({ is: 'fenced', buckets: bitsOf(buckets) })

export const bitsOf = (buckets: readonly number[]): number => buckets.reduce((bits, bucket) => bits | (1 << bucket), 0)

function lostOf({ leases }: State, { owner, epochs, batch }: { owner: number; epochs: number[]; batch: Batch }): number[] {
  const isHeld = (bucket: number) => leases[bucket]!.owner === owner && leases[bucket]!.epoch === epochs[bucket]
  return bucketsIn(batch.rows).filter((bucket) => !isHeld(bucket))
}

function removeRecord(state: State, batch: Batch): boolean {
  const before = state.records.length
  state.records = state.records.filter((one) => !isSame(one, batch))
  return state.records.length < before
}

/** A partition checks limits first, then whether it has the numbers, then whether they are the next ones. */
function produce(state: State, batch: Batch): Answer {
  const { producer, sequence, rows } = batch
  const last = sequence + rowsIn(rows).length - 1
  if (rows & state.refused) return { is: 'refused' }
  const known = state.known[producer]
  const isKnown = known?.some((one) => one[0] === sequence && one[1] === last)
  if (!isKnown && known && known.at(-1)![1] + 1 !== sequence) return { is: 'out of order' }
  if (!isKnown) {
    state.log.push({ batch, replicated: false })
    state.known[producer] = [...(known ?? []), [sequence, last] as [number, number]].slice(-5)
  }
  return done
}

/** The first replicas that are asked have all that the leader has. */
export function replicate({ log }: State): void {
  for (const entry of log) entry.replicated = true
}

/** Another replica leads: it lacks what was not replicated, and knows the last batch of each producer only. */
export function failLeader(state: State): void {
  state.log = state.log.filter(({ replicated }) => replicated)
  state.known = {}
  for (const { batch } of state.log) {
    const { producer, sequence, rows } = batch
    state.known[producer] = [[sequence, sequence + rowsIn(rows).length - 1]]
  }
}

/** Rows of a batch that a reader of the log finds. */
export const foundIn = ({ log }: State, rows: Rows): Rows =>
  log.reduce((found, { batch, replicated }) => (replicated ? found | (batch.rows & rows) : found), 0)
