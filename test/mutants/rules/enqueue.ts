import type { RulePart } from '../mutant.ts'

const behaviour = 'enqueue/prisma-7.test.ts'

/** Rules 17 to 19: enqueueing, and waking the relay. Rule 17 holds after the end of a transaction too: what comes late writes nothing. */
export const enqueueRules: readonly RulePart[] = [
  {
    rule: 17,
    without: 'enqueues of a transaction do not wait for one another',
    edits: {
      file: 'enqueue/scope.ts',
      from: 'const link = this.#tail.then(() => {',
      to: 'const link = Promise.resolve().then(() => {',
    },
    file: 'events/catalog.test.ts',
    tests: 'ids follow the order of the calls',
  },
  {
    rule: 17,
    without: 'a scope ends before its own enqueues',
    edits: {
      file: 'enqueue/scope.ts',
      from: '      await this.#settled()\n      if (this.#failure) throw doomed(this.#failure.cause)\n      this.#state',
      to: '      if (this.#failure) throw doomed(this.#failure.cause)\n      this.#state',
    },
    file: behaviour,
    tests: 'enqueues that nobody awaits',
  },
  {
    rule: 17,
    without: 'an INSERT that arrives after its transaction commits alone',
    edits: {
      file: 'enqueue/insert.ts',
      from: "guarded ? ` WHERE ${inThatTransaction}` : ''",
      to: "guarded ? ' WHERE ?::text <> $$$$' : ''",
    },
    file: behaviour,
    tests: 'arrives when its transaction is over',
  },
  {
    rule: 17,
    without: 'an INSERT that arrives after its transaction is written in the one that has its connection now',
    edits: {
      file: 'prisma/transaction-id.ts',
      from: "'pg_catalog.pg_current_xact_id()::pg_catalog.text OPERATOR(pg_catalog.=) ?::pg_catalog.text'",
      to: "'(pg_catalog.now() <> pg_catalog.statement_timestamp() OR ?::text IS NULL)'",
    },
    file: behaviour,
    tests: 'in the transaction that has its connection now',
  },
  {
    rule: 17,
    without: 'a message that was not written counts as written',
    edits: { file: 'enqueue/insert.ts', from: 'written !== rows.length', to: 'written > rows.length' },
    file: behaviour,
    tests: 'arrives when its transaction is over',
  },
  {
    rule: 17,
    without: 'a message with lockKey draws its id without the lock of its key',
    edits: { file: 'enqueue/insert.ts', from: 'FROM m CROSS JOIN locked ORDER BY place', to: 'FROM m ORDER BY place' },
    file: 'enqueue/lock-key.test.ts',
    tests: 'is drawn after the commit',
  },
  {
    rule: 17,
    without: 'a call locks its keys in the order of its messages',
    edits: [
      { file: 'enqueue/insert.ts', from: '(SELECT DISTINCT ${lockOf', to: '(SELECT ${lockOf' },
      { file: 'enqueue/insert.ts', from: 'WHERE locks ORDER BY lock) AS k', to: 'WHERE locks ORDER BY place) AS k' },
    ],
    file: 'enqueue/lock-key.test.ts',
    tests: 'two calls of many keys in opposite order',
  },
  {
    rule: 18,
    without: 'a failed enqueue dooms nothing',
    edits: {
      file: 'enqueue/scope.ts',
      from: "if (this.#state === 'open') this.#failure ??= { cause }",
      to: "if (this.#state === 'open') void cause",
    },
    file: behaviour,
    tests: 'fails its transaction even if the error is caught',
  },
  {
    rule: 19,
    without: 'every commit wakes the relays',
    edits: {
      file: 'enqueue/wake-up.ts',
      from: 'const wait = this.#last + wakeIntervalMs - performance.now()',
      to: 'const wait = 0',
    },
    file: behaviour,
    tests: 'at most 20 times a second',
  },
  {
    rule: 19,
    without: 'the wake-up of the last commit of a burst is left out',
    edits: { file: 'enqueue/wake-up.ts', from: 'this.#timer = setTimeout(() => this.#fire(), wait)', to: 'return' },
    file: behaviour,
    tests: 'once after the last',
  },
  {
    rule: 17,
    without: 'a savepoint rolls back before its enqueues have ended',
    edits: {
      file: 'enqueue/scope.ts',
      from: "      this.#state = 'failed'\n      await this.#settled()\n",
      to: "      this.#state = 'failed'\n",
    },
    file: behaviour,
    tests: 'what is enqueued in a savepoint that rolls back is gone',
  },
  {
    rule: 19,
    without: 'the relay polls slowly although its own notification has not come back',
    edits: { file: 'relay/notifications.ts', from: 'this.#trusted = this.#cameBack\n', to: 'this.#trusted = true\n' },
    file: 'relay/stories.test.ts',
    tests: 'the relay polls',
  },
]
