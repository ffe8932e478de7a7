import type { RulePart } from '../mutant.ts'

const store = 'store/batches.test.ts'
const relay = 'relay/exactly-once.test.ts'

/** Rules 26 to 29: the exactly-once mode. */
export const exactlyOnceRules: readonly RulePart[] = [
  {
    rule: 26,
    without: 'a batch is sent before it is recorded',
    edits: {
      file: 'relay/publish/lane-rows.ts',
      from: 'if (!settlement.records || this.#recorded) return none',
      to: 'if (settlement) return none',
    },
    file: relay,
    tests: 'after a relay that left a batch in doubt',
  },
  {
    rule: 26,
    without: 'a batch is recorded without all leases of its buckets',
    edits: { file: 'store/postgres/batch-statements.ts', from: ', held WHERE v.k & ~held.mask = 0)', to: ', held)' },
    file: store,
    tests: 'needs every lease of its rows',
  },
  {
    rule: 26,
    without: 'leases are renewed beside the records',
    edits: {
      file: 'store/postgres/session.ts',
      from: 'this.#renewing = me.exactlyOnce ? lines.record : lines.lease',
      to: 'this.#renewing = lines.lease',
    },
    file: store,
    tests: 'renewals come through while batches are recorded',
  },
  {
    rule: 26,
    without: 'a batch with a locked row is not marked as acknowledged',
    edits: {
      file: 'relay/settle/recorder.ts',
      from: 'landed: gone, acknowledged: ended }',
      to: 'landed: gone, acknowledged: [] }',
    },
    file: relay,
    tests: 'keeps its batch recorded and acknowledged',
  },
  {
    rule: 27,
    without: 'the relay that claims a bucket does not send its recorded batches',
    edits: {
      file: 'relay/settle/adoption.ts',
      from: '      else if (!this.#landed.has(nameOf(batch))) rows += this.#adopt(batch)\n',
      to: '',
    },
    file: relay,
    tests: 'after a relay that left a batch in doubt',
  },
  {
    rule: 27,
    without: 'a lane that let go of a recorded batch takes the next epoch',
    edits: { file: 'relay/publish/sequence.ts', from: '    if (!this.#adopted) this.#producer.change()\n', to: '' },
    file: relay,
    tests: 'when the connections to the database break',
  },
  {
    rule: 27,
    without: 'a recorded batch does not outlive a change of the number of partitions',
    edits: {
      file: 'relay/publish/lane.ts',
      from: '    if (this.#settlement.records) return this.#rows.handOver()\n',
      to: '',
    },
    file: relay,
    tests: 'when the topic gets more partitions',
  },
  {
    rule: 27,
    without: 'a batch of a partition that a broker does not know is given up',
    edits: {
      file: 'relay/publish/waiting-batches.ts',
      from: "if (state === 'recorded') this.#missing(batch, attempt)",
      to: "if (state === 'recorded') this.#end(batch, 'gone')",
    },
    file: relay,
    tests: 'when a broker names fewer partitions for a while',
  },
  {
    rule: 27,
    without: 'a lane that forgot its numbers while it waited for its turn drops the batch',
    edits: { file: 'relay/publish/lane-rows.ts', from: "if (!numbers) return 'unnumbered'", to: "if (!numbers) return 'lost'" },
    file: relay,
    tests: 'rows behind a batch that was let go of',
  },
  {
    rule: 28,
    without: 'a refused batch is taken for one that is not in the log',
    edits: { file: 'relay/settle/recorder.ts', from: '    if (doubtful) {\n', to: "    if (doubtful && code === '') {\n" },
    file: relay,
    tests: 'is looked up in the log',
  },
  {
    rule: 28,
    without: 'rows of a batch that others have ended are put back',
    edits: {
      file: 'relay/publish/lane.ts',
      from: "decided === 'gone') this.#rows.readAgain(batch)",
      to: "decided === 'gone') this.#rows.giveUp(batch)",
    },
    file: relay,
    tests: 'another owner has published meanwhile',
  },
  {
    rule: 28,
    without: 'a batch that others withdrew counts as withdrawn by this relay',
    edits: {
      file: 'relay/settle/recorder.ts',
      from: '    if (done.withdrawn === 0) return this.#isGone(batch)\n',
      to: '',
    },
    file: relay,
    tests: 'under new numbers during the search',
  },
  {
    rule: 28,
    without: 'a batch is sent under its numbers to another cluster',
    edits: {
      file: 'relay/publish/lane-rows.ts',
      from: '    this.#adopted[0] = { ...batch, lookUp: true }\n',
      to: '',
    },
    file: relay,
    tests: 'is published there',
  },
  {
    rule: 28,
    without: 'a relay whose clock is far behind sends a batch that it did not record',
    edits: { file: 'relay/settle/adoption.ts', from: ' || ownAgeMs < -clocksMs', to: '' },
    file: relay,
    tests: 'looked up by a relay whose clock is two hours behind',
  },
  {
    rule: 28,
    without: 'the age of a batch is told by the clock of the relay alone',
    edits: { file: 'relay/settle/adoption.ts', from: 'Math.max(ageMs, ownAgeMs)', to: 'ownAgeMs' },
    file: relay,
    tests: 'looked up after 13 hours by a relay whose clock',
  },
  {
    rule: 28,
    without: 'a record has the time of the database, however far behind the relay is',
    edits: {
      file: 'store/postgres/batch-statements.ts',
      from: 'THEN ${timestamp(ms)} ELSE',
      to: 'THEN clock_timestamp() ELSE',
    },
    file: store,
    tests: 'a record has the time of the database',
  },
  {
    rule: 28,
    without: 'a search that failed counts as one that found nothing',
    edits: { file: 'relay/settle/search.ts', from: 'return await search?.(what)', to: 'return (await search?.(what)) ?? 0' },
    file: relay,
    tests: 'stays where it is while the log cannot be read',
  },
  {
    rule: 29,
    without: 'a relay takes leases of the other mode',
    edits: {
      file: 'store/postgres/statements.ts',
      from: `WHERE "format" = \${format} AND ("owner" IS NULL`,
      to: `WHERE ("owner" IS NULL`,
    },
    file: store,
    tests: 'changes when no lease of the other mode runs',
  },
  {
    rule: 29,
    without: 'the mode changes while a batch is recorded',
    edits: { file: 'store/postgres/batch-statements.ts', from: '` AND NOT EXISTS (SELECT FROM ${batch})`', to: "''" },
    file: store,
    tests: 'changes back when nothing is recorded any more',
  },
  {
    rule: 29,
    without: 'relays of both modes share the buckets',
    edits: {
      file: 'store/postgres/statements.ts',
      from: ' AND "format" = ${format} AND "seen_at" > clock',
      to: ' AND "seen_at" > clock',
    },
    file: store,
    tests: 'none counts one of the other mode',
  },
  {
    rule: 29,
    without: 'a plain relay leaves recorded batches to others',
    edits: { file: 'relay/leases/leases.ts', from: "entry === 'recorded' && this.#adoption", to: 'this.#adoption && false' },
    file: relay,
    tests: 'a drain publishes them too, and counts them',
  },
]
