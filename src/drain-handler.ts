import { createHash, timingSafeEqual } from 'node:crypto'
import { type CreateRelayOptions, createRelay } from './embed.ts'
import { isOutboxError, OutboxError } from './message/errors.ts'
import { type DrainOptions, type DrainReport, withBudget } from './relay/drain.ts'

/** Bounds and secret of a {@link drainHandler}. */
export interface DrainHandlerOptions extends Pick<DrainOptions, 'maxMessages'> {
  /** Time of one call, connecting included, 500 to 86,400,000 ms: two seconds less than the platform allows. */
  budgetMs: number
  /** Callers send it as `Authorization: Bearer …`. While it is undefined, as in a build without environment, every call answers 500. */
  secret: string | undefined
}

/** What a call answers, as JSON. */
export type DrainAnswer = Pick<DrainReport, 'published' | 'waiting' | 'blocked' | 'endedBy'>

/**
 * A relay where no process may live: each call publishes what is in the outbox, within its budget. For a cron of Next.js, Vercel, Lambda,
 * Hono and others that take a web-standard handler, on Node. Calls at the same time join the drain that runs in this process; processes share the
 * work by leases.
 *
 * Answers GET and POST with status 200 and a {@link DrainAnswer}, 401 without the secret, 405 for other methods, 500 with `code` and `error`
 * when the relay cannot serve.
 *
 * @param options as for `createRelay`, or a function that returns them, called at each drain: a transport object serves one drain. Without
 *   `requestTimeoutMs` a request has half of the budget, at most half of the lease.
 * @throws OutboxError INVALID_OPTION for an empty secret, or a transport object outside a function.
 * @example
 * ```ts
 * const drain = drainHandler(
 *   () => ({ databaseUrl: process.env.DATABASE_URL!, kafka: { brokers: process.env.KAFKA_BROKERS!.split(',') } }),
 *   { budgetMs: 50_000, secret: process.env.CRON_SECRET },
 * )
 * export { drain as GET, drain as POST }
 * ```
 */
export function drainHandler(
  options: CreateRelayOptions | (() => CreateRelayOptions),
  { budgetMs, maxMessages, secret }: DrainHandlerOptions,
): (request: Request) => Promise<Response> {
  if (secret === '') throw refused('secret', 'is empty: everybody could call.', 'Set the variable it is read from.')
  if (typeof options !== 'function' && typeof options.transport === 'object')
    throw refused('transport', 'serves one drain.', 'Give a function that makes the options, or the name of the transport.')
  let running: Promise<DrainReport> | undefined
  const drain = async () => {
    const given = typeof options === 'function' ? options() : options
    return createRelay({ ...given, ...withBudget(given, budgetMs) }).drain({ budgetMs, maxMessages })
  }
  return async (request) => {
    if (secret === undefined)
      return failed(refused('secret', 'is missing.', 'Set the variable it is read from where the application runs.'))
    if (!isSame(request.headers.get('authorization') ?? '', `Bearer ${secret}`)) return Response.json({}, { status: 401 })
    if (request.method !== 'GET' && request.method !== 'POST')
      return Response.json({}, { status: 405, headers: { allow: 'GET, POST' } })
    running ??= drain().finally(() => {
      running = undefined
    })
    try {
      return Response.json(answerOf(await running))
    } catch (error) {
      return failed(error)
    }
  }
}

const answerOf = ({ published, waiting, blocked, endedBy }: DrainReport): DrainAnswer => ({ published, waiting, blocked, endedBy })

function failed(error: unknown): Response {
  console.error(error)
  const answer = isOutboxError(error)
    ? { code: error.code, error: error.message }
    : { code: 'INTERNAL_ERROR', error: 'See the log of the application.' }
  return Response.json(answer, { status: 500 })
}

const refused = (field: string, what: string, remedy: string): OutboxError =>
  new OutboxError('INVALID_OPTION', `The option ${field} ${what}`, { field, remedy })

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Takes the same time for every wrong text, whatever its length. */
const isSame = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b))
