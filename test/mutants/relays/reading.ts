import type { Mutant } from '../mutant.ts'

/** The order of a bucket, as the fetch asks for it. */
const order = 'ORDER BY m."bucket", m."id" LIMIT ${rows}'

/** A backlog makes the order of a fetch matter. */
const backlog = ['kafka-all-refuse', 'kafka-all-black-hole', 'pg-refuse']

/** Relays that read wrongly. */
export const readingMutants: Record<string, Mutant> = {
  'id-cursor': {
    what: 'remembers the highest id that it has read, and never looks below it again',
    faults: ['load-late-rollback'],
    edits: {
      file: 'relay/fetch/reader.ts',
      from: 'Math.max(claim.position, Math.min(mark, reached))',
      to: 'Math.max(claim.position, lastId)',
    },
  },
  'lagging-hint-cursor': {
    what: 'reads from a mark that lags behind and is not settled',
    faults: ['load-late-rollback'],
    edits: { file: 'store/postgres/low-water-mark.ts', from: '      if (this.#holders.size > 0) return this.#settled\n', to: '' },
  },
  'order-by-created-at': {
    what: 'reads in the order of the times of creation, which are those of the transactions',
    faults: backlog,
    sql: 'ALTER TABLE outbox ALTER created_at SET DEFAULT now()',
    edits: { file: 'store/postgres/fetch-statement.ts', from: order, to: 'ORDER BY m."bucket", m."created_at" LIMIT ${rows}' },
  },
  'order-by-xid': {
    what: 'reads in the order of the transaction ids',
    faults: backlog,
    edits: {
      file: 'store/postgres/fetch-statement.ts',
      from: order,
      to: 'ORDER BY m."bucket", m.xmin::text::bigint, m."id" LIMIT ${rows}',
    },
  },
  'bucket-count': {
    what: 'believes that there are 32 buckets',
    faults: ['relay-sigkill'],
    edits: {
      file: 'store/postgres/fetch-statement.ts',
      from: 'WHERE m."bucket" ${buckets} AND m."id"',
      to: 'WHERE m."bucket" ${buckets} AND m."bucket" < 32 AND m."id"',
    },
  },
}
