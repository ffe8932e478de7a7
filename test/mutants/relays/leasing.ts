import type { Mutant } from '../mutant.ts'

const statements = 'store/postgres/statements.ts'

/** When a claim may take a bucket. */
const free = '"owner" IS NULL OR "leased_until" < clock_timestamp() OR'

/** Relays that claim, renew or fence wrongly. */
export const leasingMutants: Record<string, Mutant> = {
  'skip-locked-without-buckets': {
    what: 'every relay reads every row: a lock that lasts as long as the statement is taken for a claim',
    faults: ['relay-sigkill'],
    edits: [
      {
        file: statements,
        from: 'take: (count: number) => `UPDATE',
        to: 'take: (_count: number) => `SELECT "bucket" AS bucket, "epoch" AS epoch, false AS abandoned FROM ${lease} FOR UPDATE SKIP LOCKED`,\n    unused: (count: number) => `UPDATE',
      },
      {
        file: statements,
        from: 'renew: (leases: readonly { bucket: number; epoch: number }[]) => `UPDATE',
        to: 'renew: (leases: readonly { bucket: number; epoch: number }[]) => `SELECT l.b AS bucket, l.e AS epoch FROM ${pairs(leases)}`,\n    alsoUnused: (leases: readonly { bucket: number; epoch: number }[]) => `UPDATE',
      },
      {
        file: 'relay/leases/share.ts',
        from: 'Math.ceil(bucketCount / Math.max(1, relays))',
        to: 'relays > 0 ? bucketCount : 0',
      },
    ],
  },
  'host-clock-leases': {
    what: 'judges the end of a lease by its own wall clock',
    faults: ['clock-ahead', 'clock-behind'],
    edits: {
      file: statements,
      from: `(${free}`,
      to: `("owner" IS NULL OR "leased_until" < '\${new Date().toISOString()}'::timestamptz OR`,
    },
  },
  'now-leases': {
    what: 'counts a lease from the answer and not from before the statement was sent, with now() in SQL',
    faults: ['pg-late-answers'],
    edits: [
      {
        file: 'relay/leases/leases.ts',
        from: 'renewed.get(claim.bucket) === claim.epoch) claim.deadline = before + leaseMs',
        to: 'renewed.get(claim.bucket) === claim.epoch) claim.deadline = clock.now() + leaseMs',
      },
      {
        file: statements,
        from: `SET "leased_until" = clock_timestamp() + \${leaseTime}, "lease_ms" = \${me.leaseMs}
  FROM (SELECT "bucket" FROM \${lease} AS o JOIN \${pairs(leases)} ON "bucket" = l.b AND "epoch" = l.e
    WHERE "owner" = \${owner} AND "format" = \${format} AND "leased_until" > clock_timestamp() ORDER BY`,
        to: `SET "leased_until" = now() + \${leaseTime}, "lease_ms" = \${me.leaseMs}
  FROM (SELECT "bucket" FROM \${lease} AS o JOIN \${pairs(leases)} ON "bucket" = l.b AND "epoch" = l.e
    WHERE "owner" = \${owner} AND "format" = \${format} AND "leased_until" > now() ORDER BY`,
      },
    ],
  },
  'timestamp-without-zone': {
    what: 'compares leases as local times, and the relays live in two time zones',
    faults: ['relay-sigterm'],
    edits: {
      file: statements,
      from: `(${free}`,
      to: `("owner" IS NULL OR "leased_until" AT TIME ZONE 'UTC' < clock_timestamp() AT TIME ZONE '\${/[13579]$/.test(me.name) ? 'Asia/Kolkata' : 'UTC'}' OR`,
    },
  },
  'no-epoch': {
    what: 'takes over a bucket without raising its epoch',
    faults: ['relay-sigkill', 'relay-sigstop'],
    edits: {
      file: statements,
      from: 'AS t SET "owner" = ${owner}, "epoch" = t."epoch" + 1,',
      to: 'AS t SET "owner" = ${owner}, "epoch" = t."epoch",',
    },
  },
  'renew-after-expiry': {
    what: 'believes in a lease that has run out, and sends under it',
    faults: ['relay-sigstop', 'relay-event-loop'],
    edits: [
      { file: 'relay/publish/send-queue.ts', from: '      if (row.claim.deadline <= safe) break\n', to: '' },
      { file: 'relay/leases/leases.ts', from: 'claim.deadline <= now)', to: 'claim.deadline < 0 * now)' },
    ],
  },
}
