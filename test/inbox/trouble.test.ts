import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { inboxSql, migrationSql } from '../support/migrations.ts'
import { startPostgres } from '../support/postgres.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { type Client, createStage, effect, effectsSql, type Running, record, start, type Tx, useMail } from './stage.ts'
import { raw, textOf, versionsFor } from './versions.ts'

// Trouble of the database, each kind in the middle of a handler, with `dead-letter.after: 1`: a single failure that counts would dead-letter the message.

describe.each(versionsFor('deadLetters'))('$name', (version) => {
  const { startMail, query, url, client: useClient, numbers } = useMail(version)

  const deadLettered = () => query<{ reason: string; attempts: number }>('SELECT reason, attempts FROM inbox_dead_letter')

  const pidOf = (tx: Tx) => raw(tx).number('pg_backend_pid()')

  /** Ends a backend, and resolves when the server has it no more. */
  async function terminate(pid: number): Promise<void> {
    await query('SELECT pg_terminate_backend($1)', [pid])
    await expect.poll(() => query('SELECT FROM pg_stat_activity WHERE pid = $1', [pid])).toEqual([])
  }

  /** A statement under way; anyone who awaits it hears of its failure. */
  function sleep(tx: Tx): Promise<unknown> {
    const slept = raw(tx).execute`SELECT 1 FROM pg_sleep(30)`.then(() => {})
    slept.catch(() => {})
    return slept
  }

  /** Resolves when the backend is in the statement. */
  const sleeping = (pid: number) =>
    expect.poll(() => query(`SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'`, [pid])).toHaveLength(1)

  async function run(url: string, sql: string): Promise<unknown[]> {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    const { rows } = await client.query(sql)
    await client.end()
    return rows
  }

  /** A client behind a proxy. */
  async function proxied(): Promise<{ client: Client; proxy: Awaited<ReturnType<typeof startTcpProxy>> }> {
    const own = new URL(url())
    const proxy = await startTcpProxy({ port: Number(own.port) })
    own.port = String(proxy.port)
    const client = version.connect(own.href)
    onTestFinished(async () => {
      await client.$disconnect()
      await proxy.close()
    })
    return { client, proxy }
  }

  /** Runs one message whose first try meets the trouble, and expects it to be applied, not dead-lettered. */
  async function survives(client: Client, trouble: (tx: Tx) => Promise<unknown>, handlerTimeoutMs = 20_000): Promise<Running> {
    const stage = await createStage(1)
    await stage.send([record('a', 1), record('a', 2)])
    let met = false
    const running = start(stage, client, 'mail', {
      handlerTimeoutMs,
      deadLetter: { after: 1 },
      handlers: {
        Counted: async (event, tx) => {
          await effect(tx, 'mail', event)
          if (met || event.payload.n !== 1) return
          met = true
          await trouble(tx)
        },
      },
    })
    await running.times('applied', 2)
    expect(await deadLettered()).toEqual([])
    expect(await numbers('a')).toEqual([1, 2])
    expect(running.all('apply_failed').map(({ attempt }) => attempt)).toEqual([0])
    return running
  }

  test('a backend that is terminated between two statements', async () => {
    await survives(useClient(), async (tx) => {
      await terminate(await pidOf(tx))
      await raw(tx).execute`SELECT 1`
    })
  })

  test('a backend that is terminated between the handler and the row of the inbox', async () => {
    await survives(useClient(), async (tx) => terminate(await pidOf(tx)))
  })

  test('a backend that is terminated while the handler does something else, and the handler says so in its own words', async () => {
    await survives(useClient(), async (tx) => {
      await terminate(await pidOf(tx))
      await raw(tx).execute`SELECT 1`.catch(() => {
        throw new Error('no letter was written')
      })
    })
  })

  test('a backend that is terminated in a statement', async () => {
    await survives(useClient(), async (tx) => {
      const pid = await pidOf(tx)
      const slept = sleep(tx)
      await sleeping(pid)
      await terminate(pid)
      await slept
    })
  })

  test('a connection that is reset in a raw statement', async () => {
    const { client, proxy } = await proxied()
    await survives(client, async (tx) => {
      const pid = await pidOf(tx)
      const slept = sleep(tx)
      await sleeping(pid)
      proxy.impose({ kind: 'reset' })
      // The server does not notice while it sleeps.
      await terminate(pid)
      await slept
    })
  })

  test('a connection that is reset between two statements', async () => {
    const { client, proxy } = await proxied()
    await survives(client, async (tx) => {
      const pid = await pidOf(tx)
      proxy.impose({ kind: 'reset' })
      await expect.poll(() => query('SELECT FROM pg_stat_activity WHERE pid = $1', [pid])).toEqual([])
      await raw(tx).execute`SELECT 1`
    })
  })

  test('a database that does not answer any more, until the handler has no time left', async () => {
    const { client, proxy } = await proxied()
    const trouble = async (tx: Tx) => {
      const lift = proxy.impose({ kind: 'black-hole' })
      // Longer than all that the inbox asks meanwhile.
      setTimeout(lift, 8_000)
      await raw(tx).execute`SELECT 1`
    }
    await survives(client, trouble, 1_000)
  }, 60_000)

  test.each(['clean', 'immediate'] as const)(
    'a restart of PostgreSQL (%s) with messages in the middle of their handlers',
    async (how) => {
      const server = await startPostgres()
      onTestFinished(() => server.stop())
      const client = version.connect(server.url)
      onTestFinished(() => client.$disconnect())
      for (const sql of [migrationSql, inboxSql, effectsSql]) await run(server.url, sql)
      const stage = await createStage(2)
      await stage.send([0, 1].flatMap((partition) => [1, 2, 3].map((n) => record(`p${partition}`, n, { partition }))))
      let met = 0
      let restarted: Promise<void> | undefined
      const { times, all } = start(
        stage,
        client,
        'mail',
        {
          deadLetter: { after: 1 },
          handlers: {
            Counted: async (event, tx) => {
              await effect(tx, 'mail', event)
              if (met++ > 1) return
              restarted ??= server.restart(how)
              await restarted
              await raw(tx).execute`SELECT 1`
            },
          },
        },
        { concurrently: 2 },
      )
      await times('applied', 6)
      expect(all('dead_lettered')).toEqual([])
      expect(all('apply_failed').filter(({ attempt }) => attempt > 0)).toEqual([])
      expect(await run(server.url, 'SELECT name, n FROM effects ORDER BY name, n')).toHaveLength(6)
    },
    90_000,
  )

  const raise = (code: string) => textOf(`DO $do$ BEGIN RAISE 'trouble' USING ERRCODE = '${code}'; END $do$`)

  test.each('08P01 25006 40003 53100 53200 53400 55P03 57P05 58030'.split(' '))(
    'a statement that fails with %s three times does not count',
    async (code) => {
      const stage = await createStage(1)
      await stage.send([record('a', 1)])
      let tries = 0
      const { until, all } = startMail(stage, {
        deadLetter: { after: 1 },
        handlers: {
          Counted: async (event, tx) => {
            if (++tries <= 3) await raw(tx).execute(raise(code))
            await effect(tx, 'mail', event)
          },
        },
      })
      await until('applied')
      expect(all('apply_failed')).toMatchObject(Array(3).fill({ attempt: 0, code }))
      expect(await deadLettered()).toEqual([])
    },
  )

  test.each(['57014', 'XX000', '25P03'])(
    '%s once does not count; the same message with it again is dead-lettered',
    async (code) => {
      const stage = await createStage(1)
      await stage.send([record('once', 1), record('ever', 1)])
      let tries = 0
      const { until, all } = startMail(stage, {
        deadLetter: { after: 1 },
        handlers: {
          Counted: async (event, tx) => {
            if (event.payload.name === 'ever' || ++tries === 1) await raw(tx).execute(raise(code))
            await effect(tx, 'mail', event)
          },
        },
      })
      expect(await until('dead_lettered')).toMatchObject({ offset: '1', attempts: 1 })
      expect(await numbers('once')).toEqual([1])
      expect(all('apply_failed')).toMatchObject([
        { offset: '0', attempt: 0, code },
        { offset: '1', attempt: 0, code },
      ])
    },
  )

  test.each([
    ['an error of its own', () => Promise.reject(new Error('cannot be done'))],
    ['a refused row', (tx: Tx) => raw(tx).execute`INSERT INTO effects (seq) VALUES (1)`],
    ['an error of somebody else’s socket', () => Promise.reject(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }))],
  ])('%s is no trouble of the database: the message is dead-lettered at once', async (_, fails) => {
    const stage = await createStage(1)
    await stage.send([record('poison', 1)])
    const { until, all } = startMail(stage, { deadLetter: { after: 1 }, handlers: { Counted: (_event, tx) => fails(tx) } })
    expect(await until('dead_lettered')).toMatchObject({ attempts: 1, reason: 'HANDLER_FAILED' })
    expect(all('apply_failed')).toEqual([])
  })

  test('a backend that is terminated in a redrive leaves the request, and the message is applied', async () => {
    const stage = await createStage(1)
    await stage.send([record('a', 1, { value: 'no JSON' }), record('a', 2)])
    let met = false
    const { until, all } = startMail(stage, {
      handlers: {
        Counted: async (event, tx) => {
          await effect(tx, 'mail', event)
          if (met) return
          met = true
          await terminate(await pidOf(tx))
          await raw(tx).execute`SELECT 1`
        },
      },
    })
    await until('blocked')
    await query(
      `UPDATE inbox_dead_letter SET value = '{"name":"a","n":1}', requested_action = 'redrive' WHERE reason IS NOT NULL`,
    )
    await until('redriven', ({ messages }) => messages === 2)
    expect(all('request_failed')).toEqual([])
    expect(await numbers('a')).toEqual([1, 2])
  })
})
