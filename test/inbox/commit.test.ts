import { randomUUID } from 'node:crypto'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createStage, effect, record, start, useMail } from './stage.ts'
import { versionsFor } from './versions.ts'

// The pool of Prisma 6.19 does not get the connection of a failed COMMIT back, and its client is then never disconnected.
describe.each(versionsFor('deadLetters'))('$name', (version) => {
  const { startMail, query, url, client, numbers } = useMail(version)

  /** Until the end of the test the commit of an effect with this number does this. */
  async function atCommitOf(n: number, plpgsql: string): Promise<void> {
    await query(`CREATE FUNCTION at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN ${plpgsql}; RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON effects DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.n = ${n}) EXECUTE FUNCTION at_commit()`)
    onTestFinished(async () => {
      await query('DROP FUNCTION at_commit CASCADE')
    })
  }

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
    const prisma = version.connect(url(), { max: 1 })
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
})
