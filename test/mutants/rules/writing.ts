import type { RulePart } from '../mutant.ts'

const rules = 'relay/rules/writing.test.ts'
const statements = 'store/postgres/statements.ts'
const connect = 'store/connect.test.ts'
const dead = 'store/dead.test.ts'
const leases = 'store/leases.test.ts'

/** Rules 12 to 16: writing. */
export const writingRules: readonly RulePart[] = [
  {
    rule: 12,
    without: 'rows are deleted by bucket and id alone',
    edits: {
      file: statements,
      from: 'WHERE m."bucket" = n.b AND m."id" = n.i AND m."message_id" = n.m`,',
      to: 'WHERE m."bucket" = n.b AND m."id" = n.i`,',
    },
    file: dead,
    tests: 'settling deletes by message id as well',
  },
  {
    rule: 12,
    without: 'one locked row stops the delete of all others',
    edits: {
      file: 'store/postgres/session.ts',
      from: "return deleted < rows.length ? 'short' : 'done'\n    } catch (error) {\n      if (isLocked(error)) return 'locked'\n",
      to: "return deleted < rows.length ? 'short' : 'done'\n    } catch (error) {\n",
    },
    file: 'relay/locked-row.test.ts',
    tests: 'two of two buckets',
  },
  {
    rule: 12,
    without: 'locked rows take the room of the others',
    edits: {
      file: 'relay/state/locked-rows.ts',
      from: '    if (row && this.#waiting.size <= setAsideRows) this.#inFlight.setAside(row)\n',
      to: '',
    },
    file: 'relay/locked-row.test.ts',
    tests: 'they hold no room',
  },
  {
    rule: 12,
    without: 'a locked row is forgotten',
    edits: { file: 'relay/settle/left-rows.ts', from: '    this.#rows.push(row)\n', to: '' },
    file: 'relay/locked-row.test.ts',
    tests: 'two of two buckets',
  },
  {
    rule: 13,
    without: 'a locked row stops everything else that is written',
    edits: {
      file: 'store/postgres/session.ts',
      from: 'lockTimeoutMs: rowLockMs, givesWay: true }\n  }',
      to: 'lockTimeoutMs: me.leaseMs / 4 }\n  }',
    },
    file: 'relay/locked-row.test.ts',
    tests: 'a refused row waits for its lock',
  },
  {
    rule: 15,
    without: 'one locked lease row keeps all buckets from being given back',
    edits: {
      file: statements,
      from: 'FOR UPDATE OF o SKIP LOCKED) AS own\n  WHERE t."bucket" = own."bucket" RETURNING t."bucket" AS bucket`',
      to: 'FOR UPDATE OF o) AS own\n  WHERE t."bucket" = own."bucket" RETURNING t."bucket" AS bucket`',
    },
    file: 'relay/locked-row.test.ts',
    tests: 'a locked lease row keeps its bucket',
  },
  {
    rule: 12,
    without: 'an id that came a second time is taken for the row in flight',
    edits: {
      file: 'relay/state/in-flight.ts',
      from: "return mine.messageId === row.messageId ? 'yes' : 'other'",
      to: "return 'yes'",
    },
    file: 'relay/reader.test.ts',
    tests: '(rule 12)',
  },
  {
    rule: 13,
    without: 'a bucket can be taken over while a dead-letter of its old owner is under way',
    edits: {
      file: 'store/postgres/dead-letter-statements.ts',
      from: '"epoch" = ${epoch} FOR SHARE)`',
      to: '"epoch" = ${epoch})`',
    },
    file: dead,
    tests: '(rule 13)',
  },
  {
    rule: 14,
    without: 'rows of a redriven key stay in the lanes',
    edits: { file: 'relay/dead-letters/free-keys.ts', from: '  topics.letGo(same)\n', to: '' },
    file: rules,
    tests: 'that were queued before it are let go of',
  },
  {
    rule: 14,
    without: 'queued moves of a redriven key are still made',
    edits: { file: 'relay/dead-letters/free-keys.ts', from: '  state.moves.forget(same)\n', to: '' },
    file: rules,
    tests: 'a redriven key overtakes nothing',
  },
  {
    rule: 15,
    without: 'one locked lease row stops the renewal of all',
    edits: {
      file: statements,
      from: '"leased_until" > clock_timestamp() ORDER BY "bucket" FOR UPDATE OF o SKIP LOCKED)',
      to: '"leased_until" > clock_timestamp() ORDER BY "bucket" FOR UPDATE OF o)',
    },
    file: leases,
    tests: 'does not stop the renewal of the others',
  },
  {
    rule: 15,
    without: 'a lease that ends too far in the future is waited for',
    edits: { file: statements, from: ' OR "leased_until" > ${longestLease(\'o\')}', to: '' },
    file: leases,
    tests: 'the clock was set back',
  },
  {
    rule: 16,
    without: 'tables of an unknown format are used',
    edits: { file: 'store/postgres/check.ts', from: '  refuse(unknownFormat(leases!.format))\n', to: '' },
    file: connect,
    tests: 'with a newer table format',
  },
  {
    rule: 16,
    without: 'row-level security may hide rows from the relay',
    edits: { file: 'store/postgres/check.ts', from: '  refuse(activeRowSecurity(found))\n', to: '' },
    file: connect,
    tests: 'with a newer table format',
  },
  {
    rule: 12,
    without: 'another message is left out of a fetch because its id is in flight',
    edits: { file: 'relay/fetch/reader.ts', from: '    this.#context.state.inFlight.doubtIds()\n', to: '' },
    file: 'relay/reader.test.ts',
    tests: 'they may be another message’s (rule 12)',
  },
  {
    rule: 13,
    without: 'rows move behind a head that is not there',
    edits: {
      file: 'store/postgres/dead-letter-statements.ts',
      from: '  AND EXISTS (SELECT 1 FROM ${dead} AS d WHERE d."bucket" = m."bucket" AND d."id" = n.h AND d."topic" = m."topic"\n    AND d."key" = m."key" AND ${holding(\'d\')})\n',
      to: '',
    },
    file: dead,
    tests: 'rows move behind only while the dead row',
  },
  {
    rule: 13,
    without: 'a key goes on although its head was refused',
    edits: { file: 'relay/state/moves.ts', from: '    if (blocksKey) row.claim.block(row.topic, row.key, row.id)\n', to: '' },
    file: 'relay/relay.test.ts',
    tests: 'a poison record is found in its batch',
  },
  {
    rule: 15,
    without: 'a lease row that was skipped counts as lost',
    edits: {
      file: 'relay/leases/leases.ts',
      from: 'claim.alive && owned.get(claim.bucket) !== claim.epoch)',
      to: 'claim.alive && owned.size >= 0)',
    },
    file: 'relay/stories.test.ts',
    tests: '(rule 15)',
  },
  {
    rule: 16,
    without: 'a relay starts on a replica',
    edits: { file: 'store/postgres/check.ts', from: '  refuseReadOnly(catalog!)\n', to: '' },
    file: connect,
    tests: 'that is read-only, as a replica is',
  },
  {
    rule: 16,
    without: 'a relay starts without its rights',
    edits: { file: 'store/postgres/check.ts', from: '  refuse(missingRights(found))\n', to: '' },
    file: connect,
    tests: 'with a newer table format',
  },
  {
    rule: 16,
    without: 'a sequence may be behind its table',
    edits: { file: 'store/postgres/check.ts', from: '  if (!served) refuse(behind)\n', to: '' },
    file: connect,
    tests: 'with a newer table format',
  },
]
