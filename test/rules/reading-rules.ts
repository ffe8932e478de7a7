import type { TakenOut } from './rules.ts'

const rules = 'relay/rules/reading.test.ts'
const reader = 'relay/reader.test.ts'
const restarted = 'relay/ids-restarted.test.ts'
const stuck = 'relay/stuck.test.ts'

/** Rules 7 to 11 and 20: reading. */
export const readingRules: readonly TakenOut[] = [
  {
    rule: 7,
    without: 'a mark passes ids whose transactions are still open',
    edits: [
      { file: 'store/postgres/low-water-mark.ts', from: '      if (this.#holders.size > 0) return this.#settled\n', to: '' },
    ],
    file: 'store/reading.test.ts',
    tests: 'never passes a row whose transaction is still open',
  },
  {
    rule: 7,
    without: 'a table or sequence that was replaced goes unnoticed',
    edits: [{ file: 'store/postgres/low-water-mark.ts', from: 'now.ids !== before.ids', to: 'now.ids === undefined' }],
    file: restarted,
    tests: 'of a sequence that starts high',
  },
  {
    rule: 7,
    without: 'a sequence that was set back goes unnoticed',
    edits: [{ file: 'store/postgres/low-water-mark.ts', from: 'Number(now.id) < Number(before.id)', to: 'Number(now.id) < 0' }],
    file: 'store/reading.test.ts',
    tests: 'ends the session with an error that says so',
  },
  {
    rule: 7,
    without: 'a sequence that was set back and has caught up goes unnoticed',
    edits: [
      { file: 'store/postgres/low-water-mark.ts', from: 'return now.again ?', to: 'return now.again && now.id === before.at ?' },
    ],
    file: restarted,
    tests: 'setval',
  },
  {
    rule: 7,
    without: 'dead rows from before the ids restarted let later rows of their key pass',
    edits: [
      {
        file: 'store/postgres/dead-letter-statements.ts',
        from: "WHEN h.id = h.before THEN 'Infinity' END AS from",
        to: 'END AS from',
      },
    ],
    file: restarted,
    tests: 'hold their key back whatever the ids',
  },
  {
    rule: 7,
    without: 'rows from after the ids restarted are redriven before those from before',
    edits: [
      {
        file: 'store/postgres/dead-letter-statements.ts',
        from: '      THEN d."id" > (SELECT id FROM last) ELSE',
        to: '      THEN true ELSE',
      },
    ],
    file: restarted,
    tests: 'hold their key back whatever the ids',
  },
  {
    rule: 7,
    without: 'two dead rows with one id are put back together',
    edits: [{ file: 'store/postgres/dead-letter-statements.ts', from: 'AND NOT p.later AND (', to: 'AND (' }],
    file: restarted,
    tests: 'hold their key back whatever the ids',
  },
  {
    rule: 7,
    without: 'the position goes on above the mark',
    edits: [
      {
        file: 'relay/fetch/reader.ts',
        from: 'Math.max(claim.position, Math.min(mark, reached))',
        to: 'Math.max(claim.position, reached)',
      },
    ],
    file: reader,
    tests: 'cut by its limit',
  },
  {
    rule: 7,
    without: 'a bucket is read before its blocked keys are known',
    edits: [
      {
        file: 'relay/leases/leases.ts',
        from: '      for (const blockedKey of keys) claims.get(blockedKey.bucket)?.put(blockedKey)\n',
        to: '      void keys\n',
      },
    ],
    file: rules,
    tests: 'loads its blocked keys first',
  },
  {
    rule: 7,
    without: 'a new connection writes under the epochs of the old one',
    edits: [
      {
        file: 'store/postgres/statements.ts',
        from: 'SET "epoch" = t."epoch" + 1, "leased_until"',
        to: 'SET "epoch" = t."epoch", "leased_until"',
      },
    ],
    file: 'store/leases.test.ts',
    tests: 'retaking raises the epoch',
  },
  {
    rule: 7,
    without: 'a bucket taken although the relay has it leaves the old claim alive',
    edits: [{ file: 'relay/leases/leases.ts', from: "this.#end(former, 'leases_lost')", to: 'void former' }],
    file: rules,
    tests: 'although it has it',
  },
  {
    rule: 8,
    without: 'what a fetch leaves out of a paused topic is not skipped',
    edits: [
      {
        file: 'relay/fetch/reader.ts',
        from: 'topic?.skippedFrom.skip(scan.bucket, scan.after + 1)',
        to: 'void topic',
      },
    ],
    file: rules,
    tests: 'what a fetch left out of a paused topic',
  },
  {
    rule: 8,
    without: 'a lane that cannot progress keeps all that it has read',
    edits: [
      {
        file: 'relay/publish/lane.ts',
        from: '    for (const row of this.letGo((row) => !kept.has(row))) this.skippedFrom.skip(row.bucket, row.id)\n',
        to: '',
      },
    ],
    file: stuck,
    tests: 'do not keep another topic waiting',
  },
  {
    rule: 8,
    without: 'what a stuck lane lets go of is not skipped',
    edits: [
      {
        file: 'relay/publish/lane.ts',
        from: 'for (const row of this.letGo((row) => !kept.has(row))) this.skippedFrom.skip(row.bucket, row.id)',
        to: 'this.letGo((row) => !kept.has(row))',
      },
    ],
    file: stuck,
    tests: 'do not keep another topic waiting',
  },
  {
    rule: 8,
    without: 'a stuck lane is read into again before its batch is decided',
    edits: [
      {
        file: 'relay/publish/lane.ts',
        from: 'if (!this.skippedFrom.any || this.#stuck) return',
        to: 'if (!this.skippedFrom.any) return',
      },
    ],
    file: stuck,
    tests: 'reads the backlog of a stuck one once',
  },
  {
    rule: 8,
    without: 'one lane may take all bytes',
    edits: [
      {
        file: 'relay/publish/lane.ts',
        from: '    if (this.#bytes >= this.#context.state.inFlight.shareBytes) return 0\n',
        to: '',
      },
    ],
    file: stuck,
    tests: 'while it still waits for its first outcome',
  },
  {
    rule: 8,
    without: 'a lane that waits for its first outcome keeps the room that others need',
    edits: [{ file: 'relay/fetch/reader.ts', from: '    if (inFlight.tight) this.#topics.yieldRoom()\n', to: '' }],
    file: stuck,
    tests: 'while they still wait for their first outcome',
  },
  {
    rule: 8,
    without: 'the batches of stuck lanes fill the in-flight rows',
    edits: [
      {
        file: 'relay/state/in-flight.ts',
        from: '(this.size - this.#kept.size) - Math.min(this.#kept.size, maxInFlight * keptShare)',
        to: 'this.size',
      },
    ],
    file: stuck,
    tests: 'more stuck lanes than the in-flight rows has room for',
  },
  {
    rule: 8,
    without: 'each resume of another lane reads the backlog of a stuck one again',
    edits: [
      {
        file: 'relay/state/skipped.ts',
        from: 'const past = range?.to ?? position',
        to: 'const past = range ? position : position',
      },
    ],
    file: stuck,
    tests: 'reads the backlog of a stuck one once',
  },
  {
    rule: 8,
    without: 'what is remembered of a stuck lane outlives its resume',
    edits: [{ file: 'relay/state/positions.ts', from: 'if (gaveUp) claim.skipped.forget()', to: 'void gaveUp' }],
    file: stuck,
    tests: 'reads the backlog of a stuck one once',
  },
  {
    rule: 8,
    without: 'above the mark the rows of a stuck lane fill every fetch',
    edits: [{ file: 'relay/fetch/reader.ts', from: 'skipped.addId(id)', to: 'void skipped' }],
    file: stuck,
    tests: 'an open transaction holds the mark back',
  },
  {
    rule: 8,
    without: 'above the mark what was skipped is passed like what is below it, and a late row with it',
    edits: [
      {
        file: 'relay/fetch/reader.ts',
        from: 'this.#claim.skipped.addRange(this.#from, Math.min(id, this.#mark))',
        to: 'this.#claim.skipped.addRange(this.#from, id)',
      },
    ],
    file: stuck,
    tests: 'an open transaction holds the mark back',
  },
  {
    rule: 8,
    without: 'a stuck lane shares its requests with the others',
    edits: [{ file: 'relay/publish/lane.ts', from: 'alone: this.#patience.alone(this.#failure, this.#stuck),', to: '' }],
    file: stuck,
    tests: 'a stuck lane sends alone',
  },
  {
    rule: 9,
    without: 'the answer to a fetch of older circumstances is used',
    edits: [
      {
        file: 'relay/fetch/reader.ts',
        from: 'if (generation !== positions.generation || signal.aborted) continue',
        to: 'if (signal.aborted) continue',
      },
    ],
    file: reader,
    tests: 'thrown away whole (rule 9)',
  },
  {
    rule: 9,
    without: 'rows deleted while the fetch was under way are taken for new ones',
    edits: [
      {
        file: 'relay/state/in-flight.ts',
        from: "return this.#deleted.get(row.id) === row.messageId ? 'yes' : 'no'",
        to: "return 'no'",
      },
    ],
    file: reader,
    tests: 'deleted while the fetch was under way',
  },
  {
    rule: 10,
    without: 'a row that was missed is sent without an alarm',
    edits: [{ file: 'relay/state/positions.ts', from: '    claim.sweptTo = position\n', to: '' }],
    file: reader,
    tests: '(rule 10)',
  },
  {
    rule: 11,
    without: 'a row over the limit is loaded',
    edits: [
      {
        file: 'store/postgres/fetch-statement.ts',
        from: 'CASE WHEN x.size <= ${what.maxRowBytes} THEN x.${column} END',
        to: 'x.${column}',
      },
    ],
    file: 'store/reading.test.ts',
    tests: 'a row over the size limit comes without its value',
  },
  {
    rule: 20,
    without: 'a topic that has grown is used with its old number of partitions',
    edits: [
      {
        file: 'relay/publish/topic.ts',
        from: 'if ((await this.#ask()) === this.#lanes.length || !this.open) return',
        to: 'await this.#ask()\n      if (this.name) return',
      },
    ],
    file: rules,
    tests: '(rule 20)',
  },
  {
    rule: 8,
    without: 'the rows of a paused topic fill every fetch',
    edits: [
      {
        file: 'relay/fetch/reader.ts',
        from: 'withoutTopics: this.#topics.closed().map((topic) => topic.name),',
        to: 'withoutTopics: [],',
      },
    ],
    file: rules,
    tests: 'while an open transaction holds the mark back',
  },
  {
    rule: 8,
    without: 'a fetch that passes over a paused topic looks until it finds another, or is broken off',
    edits: [{ file: 'store/postgres/fetch-statement.ts', from: "next('o.look')", to: "next('NULL')" }],
    file: 'store/reading.test.ts',
    tests: 'a scan looks no further than it may',
  },
  {
    rule: 8,
    without: 'a look that ended among the rows of a paused topic counts as a look at the whole bucket',
    edits: [{ file: 'relay/fetch/reader.ts', from: 'const whole = !clash && !ended &&', to: 'const whole = !clash &&' }],
    file: 'relay/reader.test.ts',
    tests: 'the position follows a look',
  },
  {
    rule: 11,
    without: 'a row that cannot be a record is put into a lane',
    edits: [{ file: 'relay/fetch/route.ts', from: 'const fault = recordFault(row)', to: 'const fault = undefined' }],
    file: 'security/hostile-rows.test.ts',
    tests: 'are dead-lettered, each on its own',
  },
  {
    rule: 11,
    without: 'a row whose value was not loaded is sent without it',
    edits: [{ file: 'relay/fetch/route.ts', from: 'if (row.oversized) {', to: 'if (row.oversized && limits.maxRowBytes < 0) {' }],
    file: 'relay/relay.test.ts',
    tests: 'a row too large to carry is dead-lettered',
  },
]
