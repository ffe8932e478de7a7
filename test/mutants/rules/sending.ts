import type { RulePart } from '../mutant.ts'

const cutOff = 'relay/cut-off.test.ts'
const rules = 'relay/rules/sending.test.ts'
const patience = 'relay/patience.test.ts'

/** Rules 1 to 6, and 21: sending. */
export const sendingRules: readonly RulePart[] = [
  {
    rule: 1,
    without: 'the next batch is sent before the outcome of the last one is known',
    edits: {
      file: 'relay/publish/lane.ts',
      from: '    if (batch.length > 0) return this.#send(batch)\n',
      to: '    if (batch.length > 0) void this.#send(batch)\n',
    },
    file: rules,
    tests: '(rule 1)',
  },
  {
    rule: 2,
    without: 'an unknown outcome counts as an acknowledgement',
    edits: {
      file: 'relay/publish/lane.ts',
      from: "    if (outcome.kind === 'acked') {\n      this.#acknowledged(batch)",
      to: "    if (outcome.kind === 'acked' || outcome.kind === 'unknown') {\n      this.#acknowledged(batch)",
    },
    file: rules,
    tests: '(rule 2)',
  },
  {
    rule: 3,
    without: 'a request is sent that may outlive its lease',
    edits: { file: 'relay/publish/send-queue.ts', from: '      if (row.claim.deadline <= safe) break\n', to: '' },
    file: rules,
    tests: 'stops the sending before it ends',
  },
  {
    rule: 3,
    without: 'a batch is sent at any time within the time to wait for its answer',
    edits: {
      file: 'transport/fuse.ts',
      from: 'this.#deadline = this.#begun + timeoutMs',
      to: 'this.#deadline = this.#begun + waitMs',
    },
    file: 'transport/fuse.test.ts',
    tests: 'is not let through after the time to send',
  },
  {
    rule: 3,
    without: 'a lane waits for a slow broker no longer than for a quick one',
    edits: {
      file: 'relay/publish/patience.ts',
      from: 'this.#doublings = Math.min(maxDoublings, this.#doublings + 1)',
      to: 'this.#doublings = 0',
    },
    file: patience,
    tests: 'makes progress',
  },
  {
    rule: 3,
    without: 'a lane waits on for an answer whose lease is lost',
    edits: { file: 'relay/publish/lane.ts', from: '      if (this.#batch.some(which)) this.#request.endWait()\n', to: '' },
    file: patience,
    tests: 'is let go of when the lease is lost',
  },
  {
    rule: 3,
    without: 'a relay that stops waits for an answer as long as ever',
    edits: { file: 'relay/publish/lane.ts', from: '      if (this.#batch.some(which)) this.#request.endWait()\n', to: '' },
    file: patience,
    tests: 'keeps no relay from stopping',
  },
  {
    rule: 2,
    without: 'after an unknown outcome a whole batch may become a copy once more',
    edits: { file: 'relay/publish/lane.ts', from: "turn === 'probe' || this.#isTentative ? 1", to: "turn === 'probe' ? 1" },
    file: patience,
    tests: 'makes progress',
  },
  {
    rule: 3,
    without: 'the deadline of a request runs while the broker has told us that it does not read',
    edits: { file: 'transport/quotas.ts', from: 'for (const fuse of fuses) fuse.extend(throttleMs)', to: 'void fuses' },
    file: 'transport/quotas.test.ts',
    tests: 'gets as much longer',
  },
  {
    rule: 3,
    without: 'a bucket is given back while a request of unknown outcome may still be written',
    edits: { file: 'relay/state/state.ts', from: ' && this.#clock.now() >= this.claims.busyUntil(claim.bucket)', to: '' },
    file: 'relay/stories.test.ts',
    tests: '(rule 3)',
  },
  {
    rule: 4,
    without: 'a whole batch is taken for refused, and not the record at fault',
    edits: {
      file: 'relay/publish/verdict.ts',
      from: "{ kind: 'single-out', refused } : { kind: 'split' }",
      to: "{ kind: 'single-out', refused } : { kind: 'dead-letter' }",
    },
    file: 'relay/relay.test.ts',
    tests: 'a poison record is found in its batch',
  },
  {
    rule: 4,
    without: 'every message of a topic that takes none is dead-lettered',
    edits: { file: 'relay/publish/verdict.ts', from: 'history.refusedKeys >= refusedKeysLimit', to: 'history.refusedKeys < 0' },
    file: 'relay/relay.test.ts',
    tests: 'six keys refused in a row',
  },
  {
    rule: 5,
    without: 'a missing topic is trouble of all topics',
    edits: {
      file: 'relay/publish/topic.ts',
      from: "      if (known.scope === 'topic') this.#missing(known)\n      else this",
      to: '      this',
    },
    file: 'relay/relay.test.ts',
    tests: 'a missing topic waits',
  },
  {
    rule: 5,
    without: 'a topic that stays missing keeps the relay in trouble after Kafka has come back',
    edits: {
      file: 'relay/publish/topic.ts',
      from: '    this.#blame(code, message)\n    this.#breaker.trust(this)\n',
      to: '    this.#blame(code, message)\n',
    },
    file: 'relay/kafka-recovered.test.ts',
    tests: 'the broker’s answer ends the trouble',
  },
  {
    rule: 5,
    without: 'a relay that Kafka does not answer keeps its buckets from its peers',
    edits: { file: 'relay/leases/leases.ts', from: '    if (this.#yields(pulse)) return this.#giveUp()\n', to: '' },
    file: cutOff,
    tests: 'traffic on one key only',
  },
  {
    rule: 5,
    without: 'a relay that is not answered gives its buckets back though no peer is answered',
    edits: {
      file: 'relay/leases/leases.ts',
      from: 'if (answered === 0) this.#peerAnsweredAt = undefined\n    else this',
      to: 'this',
    },
    file: cutOff,
    tests: 'if no broker answers anybody',
  },
  {
    rule: 5,
    without: 'the first relay that is answered after an outage gets all buckets',
    edits: { file: 'relay/leases/leases.ts', from: ' && answers.failedSince(this.#peerAnsweredAt)', to: '' },
    file: cutOff,
    tests: 'nobody yields to the relay that was answered first',
  },
  {
    rule: 5,
    without: 'nobody but the owner knows of a partition that does not progress',
    edits: { file: 'relay/leases/leases.ts', from: 'trouble: troubleOf(this.#topics.all)', to: 'trouble: troubleOf([])' },
    file: 'relay/trouble-of-heartbeats.test.ts',
    tests: 'a heartbeat names a partition',
  },
  {
    rule: 5,
    without: 'an idle relay counts as one without Kafka',
    edits: { file: 'relay/pipeline.ts', from: 'return this.#answers.run(signal)', to: 'return Promise.resolve()' },
    file: cutOff,
    tests: 'an idle relay asks',
  },
  {
    rule: 5,
    without: 'a relay that brokers answer and refuse keeps its buckets from its peers',
    edits: { file: 'relay/leases/leases.ts', from: 'since < 3 * leaseMs ||', to: 'since < 3_000 * leaseMs ||' },
    file: cutOff,
    tests: 'answers and lets write nothing',
  },
  {
    rule: 6,
    without: 'a transaction stays open after each statement',
    edits: [
      {
        file: 'store/postgres/line.ts',
        from: 'const settings = `SET TRANSACTION',
        to: 'const settings = `BEGIN;SET TRANSACTION',
      },
      { file: 'store/postgres/line.ts', from: 'const settingsCount = 9', to: 'const settingsCount = 10' },
    ],
    file: rules,
    tests: '(rule 6)',
  },
  {
    rule: 1,
    without: 'a batch that is to be sent again goes behind what has queued up since',
    edits: {
      file: 'relay/publish/send-queue.ts',
      from: 'this.#rows = [...rows, ...this.#rows]',
      to: 'this.#rows = [...this.#rows, ...rows]',
    },
    file: rules,
    tests: '(rule 1)',
  },
  {
    rule: 3,
    without: 'a request that becomes unknown between two connections is forgotten',
    edits: {
      file: 'relay/publish/lane.ts',
      from: 'for (const row of batch) state.claims.keepBusy(',
      to: 'for (const row of batch) if (state.claims.get(row.bucket)) state.claims.keepBusy(',
    },
    file: 'relay/stories.test.ts',
    tests: '(rule 3)',
  },
  {
    rule: 3,
    without: 'a bucket is given back while rows of it are in flight',
    edits: { file: 'relay/state/state.ts', from: 'this.inFlight.inBucket(claim.bucket) === 0 && ', to: '' },
    file: rules,
    tests: '(rules 3 and 15)',
  },
  {
    rule: 4,
    without: 'trouble of the brokers counts against a message',
    edits: {
      file: 'relay/publish/verdict.ts',
      from: "    case 'transient':\n      return { kind: 'again', doubt: false }",
      to: "    case 'transient':\n      return history.records > 1 ? { kind: 'split' } : { kind: 'dead-letter' }",
    },
    file: 'relay/policies.test.ts',
    tests: 'something that passes',
  },
  {
    rule: 21,
    without: 'a batch in doubt is sent again under new numbers',
    edits: { file: 'relay/publish/sequence.ts', from: '    this.#doubtful = this.numbered\n', to: '    this.forget()\n' },
    file: 'relay/sequence.test.ts',
    tests: 'however much has queued up behind the batch meanwhile',
  },
  {
    rule: 21,
    without: 'numbers of a batch are given to other rows',
    edits: {
      file: 'relay/publish/sequence.ts',
      from: 'if (sent && (sent.length !== rows.length || sent.some((row, i) => row !== rows[i]))) {',
      to: 'if (sent && sent.length < 0) {',
    },
    file: 'relay/sequence.test.ts',
    tests: 'never gives the numbers of a batch to other rows',
  },
]
