/** Rows by number, as bits: rows 0 and 1 are of bucket 0, rows 2 and 3 of bucket 1. Rows 2 and 3 have one key. All go to one partition. */
export type Rows = number

export const rowsIn = (rows: Rows): number[] => [0, 1, 2, 3].filter((row) => rows & (1 << row))
export const bucketOf = (row: number): number => row >> 1
export const bucketsIn = (rows: Rows): number[] => [...new Set(rowsIn(rows).map(bucketOf))]
/** The rows of some buckets, these as bits too. */
export const rowsOfBuckets = (buckets: number): Rows => (buckets & 1 ? 0b0011 : 0) | (buckets & 2 ? 0b1100 : 0)

/** Rows with the numbers under which they are sent. */
export interface Batch {
  readonly producer: number
  readonly sequence: number
  readonly rows: Rows
}

export const isSame = (a: Batch, b: Batch): boolean => a.producer === b.producer && a.sequence === b.sequence

/** What a relay does next. */
export type Step =
  | ('take' | 'retake' | 'adopt' | 'idle' | 'record' | 'send' | 'ask' | 'search' | 'withdraw' | 'dead-letter' | 'end')
  // Steps of mutants.
  | ('look early' | 'end rows')

/** A relay in one life of its process, with one lane. */
export interface Relay {
  /** Who owns its leases. */
  owner: number
  at: Step
  /** Where it goes on after a lost session. */
  resumes: Step | null
  /** Its leases, as bits, and their epochs. */
  mine: number
  epochs: number[]
  /** Its next numbers; -1: it has no producer id yet. */
  producer: number
  sequence: number
  /** The batch beside the queue. */
  batch: Batch | null
  /** Whether a copy of it may be in the log. */
  doubtful: boolean
  /** Whether it was refused for a record; otherwise its sequence was unknown. */
  refused: boolean
  /** Recorded batches that go first. */
  adopted: Batch[]
}

/** A statement, or a produce request. */
export type Request =
  | { what: 'take'; owner: number; bucket: number }
  | { what: 'retake'; owner: number }
  | { what: 'record' | 'withdraw'; owner: number; epochs: number[]; batch: Batch }
  | { what: 'end' | 'end record' | 'produce'; batch: Batch }
  | { what: 'dead-letter'; owner: number; epochs: number[]; row: number }

/** How often something may still happen. */
export interface Budget {
  /** Claims of buckets. */
  take: number
  crash: number
  /** Leases of living relays that end. */
  expire: number
  /** Answers that do not arrive, their requests carried out now or later. */
  lose: number
  /** Leaders that fail: what was not replicated is gone, and of each producer only the last batch is known. */
  fail: number
  /** Producers that a partition forgets. */
  forget: number
  /** Searches of the log that miss what is not replicated yet. */
  lag: number
  /** Limits of the broker: rows are refused from now on, or no more. */
  lower: number
  raise: number
}

export interface State {
  leases: { owner: number; epoch: number }[]
  outbox: Rows
  /** Rows whose transaction commits later. */
  late: Rows
  dead: Rows
  records: Batch[]
  log: { batch: Batch; replicated: boolean }[]
  /** First and last sequences of the last five batches of each producer. */
  known: Record<number, [first: number, last: number][]>
  /** Rows that the broker refuses, or will. */
  refused: Rows
  refusedLater: Rows
  /** Requests whose senders have gone on. */
  underway: Request[]
  producers: number
  relays: Relay[]
  left: Budget
}

export const relayOf = (owner: number): Relay => ({
  ...{ owner, at: 'take', resumes: null, mine: 0, epochs: [-1, -1], producer: -1, sequence: 0 },
  ...{ batch: null, doubtful: false, refused: false, adopted: [] },
})

/** The promise that is broken: once, in order, and none lost. `written`: all rows. */
export function brokenPromise({ log, outbox, late, dead }: State, written: Rows): string | undefined {
  const visible = log.filter(({ replicated }) => replicated).map(({ batch }) => batch.rows)
  const copiesOf = (row: number) => visible.filter((rows) => rows & (1 << row)).length
  // The worst first.
  for (const row of rowsIn(written & ~(outbox | late | dead))) if (copiesOf(row) === 0) return `row ${row} is lost`
  for (const row of rowsIn(written)) {
    const copies = copiesOf(row)
    if (copies > 1) return `row ${row} comes twice`
    if (copies > 0 && dead & (1 << row)) return `row ${row} is published, and dead-lettered`
  }
  const [first, second] = [2, 3].map((row) => visible.findIndex((rows) => rows & (1 << row)))
  const overtaken = written & 0b0100 && !(dead & 0b0100) && second !== -1 && (first === -1 || second! < first!)
  return overtaken ? 'row 3 comes before row 2' : undefined
}
