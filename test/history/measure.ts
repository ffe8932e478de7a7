import type { ResourceSample, Resources } from '../../src/proof/history.ts'
import { monotonicMs } from '../../src/proof/history.ts'
import { usageOf } from './fleet.ts'
import type { TortureGround } from './ground.ts'

/** Milliseconds between two samples. */
const everyMs = 2_000

/** Samples memory, open files and connections of every relay, until it is stopped. */
export class Measure {
  readonly samples: ResourceSample[] = []
  /**
   * A relay has three connections and one for notifications; those of a session that was lost in a black hole linger until the server
   * finds out. Memory is with the compiler of the test run (tsx) in it, about 100 MB of it.
   */
  readonly budget: Resources['budget'] = { rssBytes: 300e6, handles: 150, connections: 16, walBytesPerMessage: 1_000 }
  readonly #ground: TortureGround
  readonly #timer: NodeJS.Timeout

  constructor(ground: TortureGround) {
    this.#ground = ground
    this.#timer = setInterval(() => void this.#sample(), everyMs)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Write-ahead log of the statements that write and delete messages, by the server's own account, for each message. */
  async walBytesPerMessage(): Promise<number | null> {
    const { rows } = await this.#ground.postgres.admin.query<{ bytes: number }>(
      `SELECT sum(wal_bytes / rows)::float8 AS bytes FROM (
  SELECT left(query, 6) AS what, sum(wal_bytes) AS wal_bytes, sum(rows) AS rows FROM pg_stat_statements
  WHERE rows > 0 AND (query LIKE 'INSERT INTO "public"."outbox" %' OR query LIKE 'DELETE FROM "public"."outbox" AS m USING unnest%')
  GROUP BY 1) AS statements`,
    )
    return rows[0]!.bytes
  }

  async #sample(): Promise<void> {
    const connections = await this.#connections()
    for (const relay of this.#ground.relays.all()) {
      const usage = usageOf(relay.pid)
      if (usage)
        this.samples.push({ relay: relay.name, at: monotonicMs(), ...usage, connections: connections.get(relay.name) ?? 0 })
    }
  }

  async #connections(): Promise<Map<string, number>> {
    try {
      const { rows } = await this.#ground.postgres.admin.query<{ name: string; n: number }>(
        `SELECT application_name AS name, count(*)::int AS n FROM pg_stat_activity WHERE application_name LIKE 'relay-%' GROUP BY 1`,
      )
      return new Map(rows.map(({ name, n }) => [name, n]))
    } catch {
      // A fault has the server down: nobody is connected.
      return new Map()
    }
  }
}
