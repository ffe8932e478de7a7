import { jsonText } from './format.ts'
import type { LivenessCheck } from './liveness.ts'
import type { Page } from './server.ts'
import { describeSilent, stuckOf, told } from './trouble.ts'

/** What {@link healthPages} need. */
export interface HealthDeps {
  liveness: LivenessCheck
  /** Name of the relay. */
  name: string
  /** Length of its leases in milliseconds: without a heartbeat for so long the database does not serve it. */
  leaseMs: number
  /** Table formats that this version knows. */
  formats: readonly number[]
  /** Brokers for the commands that help. */
  servers: string
  /** Asks Kafka for a sign of life; rejects, with a code, when there is none. */
  askKafka: (signal: AbortSignal) => Promise<void>
}

/** One condition of readiness; `why` is a code or a few words, without data. */
export interface Check {
  ok: boolean
  why: string
}

/** Milliseconds that an answer of Kafka counts for: probes come every few seconds, and each would open a connection. */
const freshMs = 10_000

/** Troubles that a probe is told, at most. */
const most = 20

/** Milliseconds that Kafka may take. */
const kafkaMs = 3_000

/** `/livez` and `/readyz`, as JSON that explains. */
export function healthPages(deps: HealthDeps): Record<'/livez' | '/readyz', Page> {
  const kafka = kafkaCheck(deps)
  const json = (ok: boolean, what: object) => ({
    status: ok ? 200 : 503,
    type: 'application/json',
    body: `${jsonText({ ...what, relay: deps.name })}\n`,
  })
  return {
    '/livez': {
      open: true,
      answer: () => {
        const { alive, why } = deps.liveness.live
        return json(alive, { alive, why })
      },
    },
    '/readyz': {
      open: true,
      answer: async (_, knows) => {
        const checks = { database: databaseCheck(deps), tables: tablesCheck(deps), kafka: await kafka() }
        const ready = Object.values(checks).every((check) => check.ok)
        return json(ready, { ready, checks, pausedTopics: deps.liveness.paused, trouble: troubleOf(deps, knows) })
      },
    },
  }
}

/**
 * What keeps messages from Kafka, as this relay and the heartbeats of all tell. A restart would not help, so readiness does not depend on it.
 * A request without the login learns codes, and no name.
 */
function troubleOf({ liveness, servers }: HealthDeps, knows: boolean): object[] {
  const silent = liveness.relays.filter(({ withoutKafka }) => withoutKafka)
  const stuck = stuckOf(liveness.relays, liveness.pausedTopics)
  const all = knows
    ? [...silent.map(describeSilent), ...stuck.map((one) => ({ ...one, ...told(one, servers) }))]
    : [...silent.map(() => ({ code: 'NO_KAFKA' })), ...stuck.map(({ partition, code }) => ({ partition, code }))]
  return all.slice(0, most)
}

function databaseCheck({ liveness, leaseMs }: HealthDeps): Check {
  const trouble = liveness.signs.databaseTrouble
  if (trouble !== undefined) return { ok: false, why: trouble }
  if (!liveness.served) return { ok: false, why: 'not reached yet' }
  return liveness.beatMsAgo < leaseMs ? { ok: true, why: 'serves' } : { ok: false, why: 'no heartbeat' }
}

function tablesCheck({ liveness, formats }: HealthDeps): Check {
  // Anyone who serves has checked the format at its start.
  if (liveness.format === undefined)
    return liveness.served ? { ok: true, why: 'known format' } : { ok: false, why: 'not read yet' }
  const ok = formats.includes(liveness.format)
  return { ok, why: `format ${liveness.format}, ${ok ? 'known' : `this version knows ${formats.join(', ')}`}` }
}

/** Asks a broker, unless an acknowledgement or an earlier answer is fresh. Probes that come together share one question. */
function kafkaCheck({ liveness, askKafka }: HealthDeps): () => Promise<Check> {
  let answeredAt = Number.NEGATIVE_INFINITY
  let asking: Promise<Check> | undefined
  const ask = async (): Promise<Check> => {
    try {
      await askKafka(AbortSignal.timeout(kafkaMs))
      answeredAt = performance.now()
      return { ok: true, why: 'answers' }
    } catch (error) {
      const { code } = error as { code?: unknown }
      return { ok: false, why: typeof code === 'string' ? code : 'no answer' }
    }
  }
  return async () => {
    const trouble = liveness.signs.kafkaTrouble
    if (trouble !== undefined) return { ok: false, why: trouble }
    if (liveness.ackedMsAgo < freshMs) return { ok: true, why: 'acknowledges' }
    if (performance.now() - answeredAt < freshMs) return { ok: true, why: 'answers' }
    asking ??= ask().finally(() => {
      asking = undefined
    })
    return asking
  }
}
