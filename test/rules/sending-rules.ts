import type { TakenOut } from './rules.ts'

const rules = 'relay/rules/sending.test.ts'

/** Rules 1 to 6: sending. */
export const sendingRules: readonly TakenOut[] = [
  {
    rule: 1,
    without: 'the next batch is sent before the outcome of the last one is known',
    edits: [
      {
        file: 'relay/lane.ts',
        from: '      else if (batch.length > 0) await this.#send(batch)\n',
        to: '      else if (batch.length > 0) void this.#send(batch)\n',
      },
    ],
    file: rules,
    tests: '(rule 1)',
  },
  {
    rule: 2,
    without: 'an unknown outcome counts as an acknowledgement',
    edits: [
      {
        file: 'relay/lane.ts',
        from: "    if (outcome.kind === 'acked') {\n      this.#acknowledged(batch)",
        to: "    if (outcome.kind === 'acked' || outcome.kind === 'unknown') {\n      this.#acknowledged(batch)",
      },
    ],
    file: rules,
    tests: '(rule 2)',
  },
  {
    rule: 3,
    without: 'a request is sent that may outlive its lease',
    edits: [{ file: 'relay/queue.ts', from: '      if (row.claim.deadline <= safe) break\n', to: '' }],
    file: rules,
    tests: 'stops the sending before it ends',
  },
  {
    rule: 3,
    without: 'a bucket is given back while a request of unknown outcome may still be written',
    edits: [
      {
        file: 'relay/leases.ts',
        from: ' && this.#deps.clock.now() >= this.#deps.claims.busyUntil(claim.bucket)',
        to: '',
      },
    ],
    file: 'relay/stories.test.ts',
    tests: '(rule 3)',
  },
  {
    rule: 4,
    without: 'a whole batch is taken for refused, and not the record at fault',
    edits: [
      {
        file: 'relay/verdict.ts',
        from: "{ kind: 'single-out', refused } : { kind: 'split' }",
        to: "{ kind: 'single-out', refused } : { kind: 'park' }",
      },
    ],
    file: 'relay/relay.test.ts',
    tests: 'a poison record is found in its batch',
  },
  {
    rule: 4,
    without: 'every message of a topic that takes none is parked',
    edits: [{ file: 'relay/verdict.ts', from: 'history.refusedKeys >= refusedKeysLimit', to: 'history.refusedKeys < 0' }],
    file: 'relay/relay.test.ts',
    tests: 'six keys refused in a row',
  },
  {
    rule: 5,
    without: 'a missing topic is trouble of all topics',
    edits: [
      {
        file: 'relay/topic.ts',
        from: "        if (known.scope === 'topic') this.#blamed(known)\n        else gate",
        to: '        gate',
      },
    ],
    file: 'relay/relay.test.ts',
    tests: 'a missing topic waits',
  },
  {
    rule: 5,
    without: 'a topic that stays missing keeps the relay in trouble after Kafka has come back',
    edits: [
      {
        file: 'relay/topic.ts',
        from: '    this.#tellPaused(code, message)\n    this.#deps.gate.trust(this)\n',
        to: '    this.#tellPaused(code, message)\n',
      },
    ],
    file: 'relay/kafka-recovered.test.ts',
    tests: 'the broker’s answer ends the trouble',
  },
  {
    rule: 5,
    without: 'a relay that Kafka does not answer keeps its buckets from its peers',
    edits: [{ file: 'relay/leases.ts', from: 'since < 3 * leaseMs ||', to: 'since < 3_000 * leaseMs ||' }],
    file: rules,
    tests: '(rule 5)',
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
      { file: 'store/postgres/line.ts', from: 'const settingsCount = 8', to: 'const settingsCount = 9' },
    ],
    file: rules,
    tests: '(rule 6)',
  },
  {
    rule: 1,
    without: 'a batch that is to be sent again goes behind what has queued up since',
    edits: [
      {
        file: 'relay/queue.ts',
        from: 'this.#rows = [...rows, ...this.#rows]',
        to: 'this.#rows = [...this.#rows, ...rows]',
      },
    ],
    file: rules,
    tests: '(rule 1)',
  },
  {
    rule: 3,
    without: 'a request that becomes unknown between two connections is forgotten',
    edits: [
      {
        file: 'relay/lane.ts',
        from: 'for (const row of batch) claims.keepBusy(',
        to: 'for (const row of batch) if (claims.get(row.bucket)) claims.keepBusy(',
      },
    ],
    file: 'relay/stories.test.ts',
    tests: '(rule 3)',
  },
  {
    rule: 3,
    without: 'a bucket is given back while rows of it are in hand',
    edits: [{ file: 'relay/leases.ts', from: 'this.#deps.hand.inBucket(claim.bucket) === 0 && ', to: '' }],
    file: rules,
    tests: '(rules 3 and 15)',
  },
  {
    rule: 4,
    without: 'trouble of the brokers counts against a message',
    edits: [
      {
        file: 'relay/verdict.ts',
        from: "    case 'transient':\n      return { kind: 'again', doubt: false }",
        to: "    case 'transient':\n      return history.records > 1 ? { kind: 'split' } : { kind: 'park' }",
      },
    ],
    file: 'relay/policies.test.ts',
    tests: 'something that passes',
  },
]
