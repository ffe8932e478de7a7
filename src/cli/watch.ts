import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { isOutboxError } from '../message/errors.ts'
import type { TableSet } from '../message/tables.ts'
import { otherProblems, type Problem, tableProblems } from '../ops/dashboard/problems.ts'
import { inOneLine, jsonText, numberText, span } from '../ops/format.ts'
import { pointMs, Rate, sparkline } from '../ops/rate.ts'
import { restMs } from '../ops/sampler.ts'
import type { Operator, OutboxSample, OutboxStatus } from '../store/operator.ts'
import { problemLines } from './format.ts'
import { type Output, Screen } from './screen.ts'
import { statusText } from './status-text.ts'

/** Milliseconds between two looks, at least. */
const intervalMs = 1_000

/** Points of the sparkline: three minutes. */
const points = 36

/** Topics whose lag is shown; the oldest messages first. */
const mostTopics = 3

/** What one look saw. */
export interface View {
  /** When, as RFC 3339. */
  at: string
  /** The last look that succeeded. */
  sample: OutboxSample
  /** Other outboxes that have messages and no relay. @default none */
  others?: readonly TableSet[] | undefined
  rate: Pick<Rate, 'perSecond' | 'points' | 'highest'>
  /** Why this one failed, where it did: what is shown is older. */
  failed?: Problem | undefined
  /** Brokers for the commands that help. */
  servers: string
  /** Width of the terminal. */
  columns: number
}

/** A problem as `status` tells it: what a single look cannot know is left out. */
type ShownProblem = Pick<Problem, 'runbook' | 'what' | 'remedy' | 'command'>

/** Asks the database, which may be connected again for each question. */
export type Ask = <T>(what: (operator: Operator) => Promise<T>) => Promise<T>

/** Shows how the outbox stands, again and again, until `signal` says so: in the same place of a terminal, elsewhere a line for each look. */
export function watch(ask: Ask, out: Output, signal: AbortSignal, servers: string): Promise<void> {
  const [rate, screen, nobody] = [new Rate(points), new Screen(out), randomUUID()]
  const look = async () => {
    const sample = await ask((operator) => operator.sample(nobody))
    rate.read(performance.now(), sample.deletedRows)
    return { sample, others: (await ask((operator) => operator.otherOutboxes())) ?? [] }
  }
  const show = ({ sample, others }: Pick<View, 'sample' | 'others'>, failed: Problem | undefined) => {
    const view = { at: new Date().toISOString(), sample, others, rate, failed, servers, columns: (out.columns ?? 80) - 1 }
    if (out.isTTY) screen.draw(picture(view))
    else out.write(`${line(view)}\n`)
  }
  return lookAgain(look, show, signal)
}

/** The same for a program: what `status --json` says, a line for each look; one that fails gives a line in `errors` only. */
export function watchAsJson(ask: Ask, out: Output, errors: Output, signal: AbortSignal, servers: string): Promise<void> {
  const show = (status: OutboxStatus, failed: Problem | undefined) =>
    failed ? errors.write(`! ${inOneLine(`${failed.what} ${failed.remedy}`)}\n`) : out.write(`${jsonText(status)}\n`)
  return lookAgain(() => ask((operator) => statusWithProblems(operator, servers)), show, signal)
}

/** The status, with the problems that {@link watch} would show beside it. `servers`: brokers for the commands that help. */
export async function statusWithProblems(
  operator: Operator,
  servers: string,
): Promise<OutboxStatus & { problems: ShownProblem[] }> {
  const [status, sample] = [await operator.status(), await operator.sample(randomUUID())]
  // The figures that stand above the problems: a sample counts less far, and is a moment younger.
  const others = (await operator.otherOutboxes()) ?? []
  const found = [...tableProblems({ ...sample, ...status }, servers), ...otherProblems(others)]
  return { ...status, problems: found.map(({ runbook, what, remedy, command }) => ({ runbook, what, remedy, command })) }
}

/** Looks until `signal` says so. A look that fails is told with what the last one saw; the first one throws: a wrong address does not get better. */
async function lookAgain<Seen>(
  look: () => Promise<Seen>,
  show: (seen: Seen, failed: Problem | undefined) => void,
  signal: AbortSignal,
): Promise<void> {
  let seen: Seen | undefined
  while (!signal.aborted) {
    const since = performance.now()
    let failed: Problem | undefined
    try {
      seen = await look()
    } catch (error) {
      if (seen === undefined) throw error
      failed = failure(error)
    }
    show(seen, failed)
    await pause(restMs(performance.now() - since, intervalMs), undefined, { signal }).catch(() => {})
  }
}

function failure(error: unknown): Problem {
  const what = (why: string) => `The last look at the tables failed (${why}): the figures are old.`
  if (isOutboxError(error)) return { runbook: 'OutboxBlind', what: what(error.code), remedy: error.remedy }
  const { code } = error as { code?: unknown }
  const remedy = 'It is tried again. 57014 is a look that took too long.'
  return { runbook: 'OutboxBlind', what: what(typeof code === 'string' ? code : 'no code'), remedy }
}

const problemsOf = ({ sample, others = [], failed, servers }: View): Problem[] => [
  ...(failed ? [failed] : []),
  ...tableProblems(sample, servers),
  ...otherProblems(others),
]

/** What a terminal shows. */
export function picture(view: View): string[] {
  const { at, sample, rate } = view
  const found = problemLines(problemsOf(view), view.columns)
  return [
    `${at.slice(0, 19)}Z, until Ctrl-C`,
    `Rate      ${rateText(rate.perSecond)} leave the outbox; in ${(points * pointMs) / 60_000} minutes at most ${numberText(rate.highest)}/s`,
    `          ${sparkline(rate.points)}`,
    `Lag       ${lagText(sample)}`,
    ...statusText(sample).split('\n'),
    '',
    ...(found.length === 0 ? ['No problem is known.'] : found),
  ]
}

/** One look in a line, for a file or another program. */
export function line(view: View): string {
  const { at, sample, rate } = view
  const { backlog, leases, relays, dead } = sample
  const refused = Object.values(dead.byReason).reduce((sum, n) => sum + n, 0)
  const buckets = relays.filter(({ alive }) => alive).map((relay) => `${relay.name} ${relay.buckets}`)
  const parts = [
    at,
    `waiting ${backlog.exact ? '' : 'about '}${backlog.messages}`,
    `lag ${backlog.oldestMs === null ? '-' : span(backlog.oldestMs)}`,
    `rate ${rateText(rate.perSecond)}`,
    `leases ${leases.held} held ${leases.expired} expired ${leases.free} free`,
    `relays ${buckets.join(', ') || 'none'}`,
    `dead ${refused}${dead.exact ? '' : ' or more'}`,
    ...problemsOf(view).map(({ what }) => `! ${what}`),
  ]
  return inOneLine(parts.join('; '))
}

const rateText = (perSecond: number | null): string => (perSecond === null ? '-' : `${numberText(perSecond)}/s`)

function lagText({ topics }: OutboxSample): string {
  const late = topics.toSorted((a, b) => b.oldestMs - a.oldestMs)
  const more = late.length > mostTopics ? `, and ${late.length - mostTopics} more topics` : ''
  return `${
    late
      .slice(0, mostTopics)
      .map(({ topic, oldestMs }) => `${topic} ${span(oldestMs)}`)
      .join(', ') || 'none waits'
  }${more}`
}
