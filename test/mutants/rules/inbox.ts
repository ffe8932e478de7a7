import type { RulePart } from '../mutant.ts'

const late = 'inbox/late.test.ts'
const recreated = 'inbox/recreated.test.ts'
const trouble = 'inbox/trouble.test.ts'
const statements = 'inbox/statements.ts'
const projectionLog = 'inbox/projection-log.test.ts'

/**
 * Rules 22 to 25: a position belongs to one log and one transaction, a write to its transaction, an offset is no identity, and trouble of the
 * database is no fault of a message.
 */
export const inboxRules: readonly RulePart[] = [
  {
    rule: 22,
    without: 'a projection goes on in a topic that was created again',
    edits: { file: 'inbox/projection/logs.ts', from: 'topicId !== log.id', to: 'false' },
    file: projectionLog,
    tests: 'a topic of the same name in another cluster is refused',
  },
  {
    rule: 22,
    without: 'what kafkajs jumps back to is taken for records that were applied',
    edits: [
      { file: 'inbox/projection/logs.ts', from: 'topicId !== log.id', to: 'false' },
      { file: 'inbox/projection/logs.ts', from: 'BigInt(next) > end', to: 'false' },
    ],
    file: projectionLog,
    tests: 'told before the next check is due',
  },
  {
    rule: 22,
    without: 'a position that arrives after its transaction commits alone',
    edits: {
      file: statements,
      from: 'WHERE "name" = ?::text AND "topic" = ?::text AND "partition" = ?::int AND ${inThatTransaction}`),',
      to: 'WHERE "name" = ?::text AND "topic" = ?::text AND "partition" = ?::int AND ?::text IS NOT NULL`),',
    },
    file: 'inbox/projection-late.test.ts',
    tests: 'moves nothing',
  },
  {
    rule: 23,
    without: 'a claim that arrives after its transaction commits alone',
    edits: {
      file: statements,
      from: 'SELECT ?::pg_catalog.text, ?::pg_catalog.uuid WHERE ${inThatTransaction}`',
      to: 'SELECT ?::pg_catalog.text, ?::pg_catalog.uuid WHERE ?::pg_catalog.text IS NOT NULL`',
    },
    file: late,
    tests: 'comes late: each message has its effect once, and none is lost',
  },
  {
    rule: 23,
    without: 'other writes that arrive after their transaction commit alone',
    edits: {
      file: statements,
      from: 'AS MATERIALIZED (SELECT ${inThatTransaction} AS yes)',
      to: 'AS MATERIALIZED (SELECT ?::pg_catalog.text IS NOT NULL AS yes)',
    },
    file: late,
    tests: 'comes late: each message has its effect once, and none is lost',
  },
  {
    rule: 23,
    without: 'a claim that wrote nothing, because its transaction was over, counts as a copy',
    edits: { file: 'inbox/transaction.ts', from: '  if (!answer!.mine) throw over()\n', to: '' },
    file: late,
    tests: 'a late claim is no copy',
  },
  {
    rule: 24,
    without: 'a dead-lettered record is told apart by its offset',
    edits: {
      file: 'inbox/record.ts',
      from: '  const id = idOf(texts.id)\n  let identity = id ?? undefined\n',
      to: "  const id = idOf(texts.id)\n  let identity: string | undefined = `00000000-0000-4000-8000-${offset.padStart(12, '0')}`\n",
    },
    file: recreated,
    tests: 'is dead-lettered and told',
  },
  {
    rule: 24,
    without: 'a record without an id is another one whenever it is read',
    edits: {
      file: 'inbox/record.ts',
      from: 'message: KafkaMessage): NewRecord {',
      to: 'read: KafkaMessage): NewRecord {\n  const message = { ...read, timestamp: String(Math.random()) }',
    },
    file: recreated,
    tests: 'is dead-lettered once',
  },
  {
    rule: 24,
    without: 'a key is applied in the order of offsets',
    edits: {
      file: statements,
      from: 'ORDER BY p."arrival" LIMIT 1 FOR NO KEY UPDATE NOWAIT`',
      to: 'ORDER BY p."offset" LIMIT 1 FOR NO KEY UPDATE NOWAIT`',
    },
    file: recreated,
    tests: 'in the order of arrival, over both logs',
  },
  {
    rule: 25,
    without: 'an error that may be of the connection is always the handler’s',
    edits: { file: 'inbox/inbox/applier.ts', from: "blameOf(error) === 'unknown' && !(await answersIn(tx))", to: 'false' },
    file: trouble,
    tests: 'a backend that is terminated between two statements',
  },
  {
    rule: 25,
    without: 'a failure that may be the database’s counts at once',
    edits: {
      file: 'inbox/partition.ts',
      from: 'const again = this.#lastCode === code',
      to: 'const again = this.#lastCode !== null',
    },
    file: trouble,
    tests: 'once does not count',
  },
  {
    rule: 25,
    without: 'failures count while the database does not answer',
    edits: [
      { file: 'inbox/inbox/reader.ts', from: '    if (!(await this.#ports.applier.answers())) return false\n', to: '' },
      { file: 'inbox/partition.ts', from: 'const again = this.#lastCode === code', to: 'const again = this.#lastCode !== null' },
    ],
    file: trouble,
    tests: 'a database that does not answer any more',
  },
]
