import { z } from 'zod'
import { OutboxError } from '../message/errors.ts'
import { bucketCount } from '../message/key.ts'
import type { StoreSession } from '../store/store.ts'
import { type RelayOptions, relayDefaults } from './options.ts'
import type { Pipeline } from './pipeline.ts'

/** Bounds of a drain. Without any it ends when waiting would not help. */
export interface DrainOptions {
  /**
   * Time for the whole drain, connecting and giving leases back included, in milliseconds: more than the relay's `requestTimeoutMs`, at most
   * 86,400,000. A request is sent only while the rest of the budget exceeds the request timeout.
   * @default no limit
   */
  budgetMs?: number | undefined
  /**
   * Messages to publish at most, 1 to 1,000,000,000.
   * @default no limit
   */
  maxMessages?: number | undefined
  /** Ends the drain as the end of the budget does. */
  signal?: AbortSignal | undefined
}

/**
 * Why a drain ended:
 *
 * - `empty`: every message that was in the outbox when the drain began is published, dead-lettered or blocked.
 * - `budget`: the time is over. `count`: `maxMessages` are published. `stopped`: `signal` or `relay.stop()` ended it.
 * - `others`: other relays hold the buckets of the messages that wait.
 * - `paused`: the messages that wait belong to topics that take none.
 */
export type DrainEnd = 'empty' | 'budget' | 'count' | 'others' | 'paused' | 'stopped'

/** What a drain did, and what it left behind. */
export interface DrainReport {
  /** Messages that Kafka acknowledged. */
  published: number
  /** Messages that are still in the outbox, counted up to 1,000; null: the database did not answer. */
  waiting: number | null
  /** Keys that wait behind a dead letter. */
  blocked: number
  endedBy: DrainEnd
  /** Buckets that belong to other relays, 0 to 64. */
  foreignBuckets: number
  /** Topics that take no messages, with Kafka's code of the reason. */
  pausedTopics: { topic: string; code: string }[]
  /** Code of Kafka's trouble that went on at the end, such as `ECONNREFUSED`; null: Kafka answered. */
  kafkaTrouble: string | null
}

/** Milliseconds after which the state is examined again if nothing has raised its signal. */
const pollMs = 50

const bounds = {
  budgetMs: z.number().int().max(86_400_000),
  maxMessages: z.number().int().min(1).max(1_000_000_000),
}

/**
 * Checks the bounds of a drain.
 *
 * @throws OutboxError INVALID_OPTION
 */
export function drainBounds({ budgetMs, maxMessages }: DrainOptions, requestTimeoutMs: number): void {
  const refuse = (field: string, must: string) =>
    new OutboxError('INVALID_OPTION', `The drain option ${field} must be ${must}.`, {
      field,
      remedy: field === 'budgetMs' ? 'Give more time, or lower requestTimeoutMs.' : 'Leave it out for no limit.',
    })
  if (budgetMs !== undefined && !bounds.budgetMs.min(requestTimeoutMs + 1).safeParse(budgetMs).success)
    throw refuse('budgetMs', `an integer above the request timeout of ${requestTimeoutMs} ms and at most 86400000`)
  if (maxMessages !== undefined && !bounds.maxMessages.safeParse(maxMessages).success)
    throw refuse('maxMessages', 'an integer from 1 to 1000000000')
}

/** A request gets half of a short budget: with all of it nothing could be sent. */
export function withBudget(
  { leaseMs, requestTimeoutMs }: RelayOptions,
  budgetMs: number,
): Pick<RelayOptions, 'requestTimeoutMs'> {
  const most = Math.floor((leaseMs ?? relayDefaults.leaseMs) / 2)
  return { requestTimeoutMs: requestTimeoutMs ?? Math.max(250, Math.min(most, Math.floor(budgetMs / 2))) }
}

/** What a drain reads. */
export interface Drain {
  pipeline: Pick<Pipeline, 'context' | 'topics' | 'leases'>
  /** Aborted when the drain has to end for another reason. */
  ending: AbortSignal
  /** Asks the database, again in the next session if this one breaks. */
  ask: <T>(question: (session: StoreSession) => Promise<T>) => Promise<T>
}

/**
 * Resolves when all that is in the outbox now has been published, or when waiting longer will not help. It waits for signals of the stages;
 * the drain of an empty outbox needs no timer.
 */
export async function drained({ pipeline, ending, ask }: Drain): Promise<DrainEnd> {
  const { state } = pipeline.context
  const upTo = await ask((session) => session.lastId())
  while (!ending.aborted) {
    if (state.acked.total >= state.maxMessages) return 'count'
    if (isQuiet(pipeline)) {
      const waiting = await ask((session) => session.remaining(upTo))
      if (waiting === 0) return 'empty'
      if (await othersHold(pipeline, ending)) return 'others'
      if (state.claims.size === bucketCount && pausedTopics(pipeline).length > 0) return 'paused'
    }
    await state.rested.wait(ending, pollMs)
  }
  return 'stopped'
}

/** Nothing is on its way, nothing was found, and no topic is still being resolved. */
function isQuiet({ context, topics, leases }: Drain['pipeline']): boolean {
  const { inFlight, positions, claims, moves } = context.state
  // What is left is taken when the mode has changed.
  if (leases.changing) return false
  // A redrive that an operator asked for makes messages wait again.
  if (moves.granting || moves.requestsAt <= context.clock.now()) return false
  // A batch in doubt moves only when its paused topic takes messages again.
  if (inFlight.size > topics.resting || leases.ticks === 0 || !(claims.size === 0 || positions.sawNothing)) return false
  return !topics.missing.waiting && !topics.closed().some((topic) => !topic.trouble)
}

/**
 * Whether others hold buckets and keep them. A relay that found none free is not asked twice; one that has a share takes what a peer has
 * given back, perhaps just now: a heartbeat that begins after this question tells.
 */
async function othersHold({ context, leases }: Drain['pipeline'], ending: AbortSignal): Promise<boolean> {
  const { claims, releasable, rested } = context.state
  const { size } = claims
  if (size === bucketCount || size === 0) return size === 0
  for (const until = leases.ticks + 2; leases.ticks < until && !ending.aborted; await rested.wait(ending, pollMs))
    releasable.raise()
  return claims.size === size
}

/** What a drain leaves behind, while the relay still has its buckets. */
export function remainder(pipeline: Drain['pipeline']): Omit<DrainReport, 'published' | 'waiting' | 'endedBy'> {
  const { claims } = pipeline.context.state
  const blocked = claims.all.reduce((sum, claim) => sum + claim.blockedKeys, 0)
  const kafkaTrouble = pipeline.topics.breaker.code ?? null
  return { blocked, foreignBuckets: bucketCount - claims.size, pausedTopics: pausedTopics(pipeline), kafkaTrouble }
}

const pausedTopics = ({ topics }: Drain['pipeline']): DrainReport['pausedTopics'] =>
  topics.closed().flatMap(({ name, trouble }) => (trouble ? [{ topic: name, code: trouble.code }] : []))
