import { randomUUID } from 'node:crypto'
import { expect, onTestFinished, test } from 'vitest'
import { connect, createStage, effect, record, start, type Tx, useMail } from './stage.ts'

const { startMail, query, url, client, numbers } = useMail()

/** Until the end of the test the commit of an effect with this number does this. */
async function atCommitOf(n: number, plpgsql: string): Promise<void> {
  await query(`CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${plpgsql}; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON effects DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW WHEN (NEW.n = ${n}) EXECUTE FUNCTION at_commit()`)
  onTestFinished(async () => {
    await query('DROP FUNCTION at_commit CASCADE')
  })
}

/** Milliseconds since the transaction began, and the effects that it sees. */
async function sees(tx: Tx): Promise<{ age: number; effects: number }> {
  const [row] = await tx.$queryRaw<{ age: number; effects: number }[]>`
    SELECT (extract(epoch FROM clock_timestamp() - now()) * 1000)::float8 AS age, (SELECT count(*)::int FROM effects) AS effects`
  return row!
}

/** Applies two messages, the first with a commit of half a second; gives what the second handler saw. */
async function afterSlowCommit(handlerTimeoutMs: number, prisma = client()): Promise<{ age: number; effects: number }> {
  await atCommitOf(1, 'PERFORM pg_sleep(0.5)')
  const stage = await createStage(1)
  await stage.send([record('a', 1), record('a', 2)])
  let seen = { age: 0, effects: 0 }
  const { times } = start(stage, prisma, 'mail', {
    handlerTimeoutMs,
    handlers: {
      async Counted(event, tx) {
        seen = await sees(tx)
        await effect(tx, 'mail', event)
      },
    },
  })
  await times('applied', 2)
  return seen
}

test('the next transaction begins while the one before commits, and its handler is called after that', async () => {
  const { age, effects } = await afterSlowCommit(3_600_000)
  expect(age).toBeGreaterThan(100)
  expect(effects).toBe(1)
})

test('a transaction that waited for more than a hundredth of its time is not used: its handler would have too little', async () => {
  const { age, effects } = await afterSlowCommit(20_000)
  expect(age).toBeLessThan(400)
  expect(effects).toBe(1)
})

test.each(['repeatable read', 'serializable'])(
  'in %s the transaction that waited for the commit is not used: its handler would not see that commit',
  async (isolation) => {
    const own = new URL(url())
    own.searchParams.set('options', `-c default_transaction_isolation=${isolation.replace(' ', '\\ ')}`)
    const prisma = connect(own.href)
    onTestFinished(() => prisma.$disconnect())
    const { effects } = await afterSlowCommit(3_600_000, prisma)
    expect(effects).toBe(1)
  },
)

test('a commit that fails takes back what was counted on: each message of the batch is applied', async () => {
  await query('CREATE SEQUENCE commits')
  onTestFinished(async () => {
    await query('DROP SEQUENCE commits')
  })
  await atCommitOf(2, `IF nextval('commits') <= 2 THEN RAISE 'not yet'; END IF`)
  const stage = await createStage(1)
  await stage.send([1, 2, 3].map((n) => record('a', n)))
  const { times, all } = start(stage, client(), 'mail', {
    batch: 10,
    handlers: {
      async Counted(events, tx) {
        for (const event of events) await effect(tx, 'mail', event)
      },
    },
  })
  await times('applied', 2)
  await times('applied', 1, () => all('applied').reduce((sum, { messages, copies }) => sum + messages + copies, 0) === 3)
  expect(await numbers('a')).toEqual([1, 2, 3])
  expect(all('apply_failed')).toMatchObject([{ offset: '1' }])
})

test('a pool of one connection is enough', async () => {
  const stage = await createStage(1)
  // Looked up in three portions: each asks for the connection, between two transactions.
  const count = 150
  await stage.send(Array.from({ length: count }, (_, n) => record('a', n)))
  const prisma = connect(url(), 1)
  onTestFinished(() => prisma.$disconnect())
  const { times, all } = start(stage, prisma, 'mail', {
    handlers: { Counted: (event, tx) => effect(tx, 'mail', event) },
  })
  await times('applied', count)
  expect(await numbers('a')).toEqual(Array.from({ length: count }, (_, n) => n))
  expect(all('apply_failed')).toEqual([])
})

test('a message that another member applies meanwhile has no second effect, and has not failed', async () => {
  const stage = await createStage(1)
  const id = randomUUID()
  await stage.send([record('a', 1, { id }), record('a', 2)])
  let other = false
  const { times, all } = startMail(stage, {
    handlers: {
      async Counted(event, tx) {
        await effect(tx, 'mail', event)
        if (event.payload.n !== 1 || other) return
        other = true
        await query(`INSERT INTO inbox (consumer, message_id) VALUES ('mail', '${id}')`)
      },
    },
  })
  await times('applied', 1, ({ messages }) => messages === 1)
  expect(await numbers('a')).toEqual([2])
  expect(all('applied').map(({ copies }) => copies)).toContain(1)
  expect(all('apply_failed')).toEqual([])
})
