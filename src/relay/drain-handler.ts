import { createHash, timingSafeEqual } from 'node:crypto'
import { isOutboxError, OutboxError } from '../message/errors.ts'
import type { DrainOptions, DrainReport } from './drain.ts'

/** Bounds and secret of a {@link drainHandler}. */
export interface DrainHandlerOptions extends Pick<DrainOptions, 'maxMessages'> {
  /** Time of one call, connecting included, 500 to 86,400,000 ms: two seconds less than the platform allows. */
  budgetMs: number
  /** Callers send it as `Authorization: Bearer …`. While it is undefined, as in a build without environment, every call answers 500. */
  secret: string | undefined
}

/** What a call answers, as JSON. */
export interface DrainAnswer extends Pick<DrainReport, 'published' | 'waiting' | 'blocked' | 'endedBy'> {
  /** The time was over while Kafka took nothing: the code of its trouble, with the status 503. */
  code?: string
}

/** Answers requests that know the secret by what `drain` reports; requests at the same time share one drain. `drainHandler` makes it. */
export function answering(
  drain: () => Promise<DrainReport>,
  secret: string | undefined,
): (request: Request) => Promise<Response> {
  if (secret === '') throw refused('secret', 'is empty: everybody could call.', 'Set the variable it is read from.')
  let running: Promise<DrainReport> | undefined
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
      const report = await running
      const answer = answerOf(report)
      // A cron that watches the status of its calls sees an outage.
      return report.endedBy === 'budget' && report.kafkaTrouble !== null
        ? Response.json({ ...answer, code: report.kafkaTrouble }, { status: 503 })
        : Response.json(answer)
    } catch (error) {
      return failed(error)
    }
  }
}

const answerOf = ({ published, waiting, blocked, endedBy }: DrainReport): DrainAnswer => ({
  published,
  waiting,
  blocked,
  endedBy,
})

function failed(error: unknown): Response {
  console.error(error)
  const answer = isOutboxError(error)
    ? { code: error.code, error: error.message }
    : { code: 'INTERNAL_ERROR', error: 'See the log of the application.' }
  return Response.json(answer, { status: 500 })
}

/** The error of an option of a drain handler. */
export const refused = (field: string, what: string, remedy: string): OutboxError =>
  new OutboxError('INVALID_OPTION', `The option ${field} ${what}`, { field, remedy })

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/** Takes the same time for every wrong text, whatever its length. */
const isSame = (a: string, b: string): boolean => timingSafeEqual(digest(a), digest(b))
