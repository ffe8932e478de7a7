import { InvalidArgumentError } from 'commander'
import type { DrainReport } from '../embed.ts'
import { OutboxError } from '../message/errors.ts'
import { ageMs } from '../ops/format.ts'
import { exitCodes } from './exit-codes.ts'
import { counted } from './format.ts'
import type { Flags } from './given.ts'
import { printError } from './print.ts'

/** Longest budget: a day, in milliseconds. */
const mostMs = 86_400_000

/** Milliseconds of a budget on the command line: `50s`, `5m`. */
export function duration(text: string): number {
  const ms = ageMs(text)
  if (ms !== undefined && ms > 0 && ms <= mostMs) return ms
  throw new InvalidArgumentError('must be a duration such as 50s or 5m, at most 24h.')
}

/** The budget of a drain in milliseconds; undefined: no limit. Throws INVALID_OPTION. */
export function budgetOf({ drain, budget }: Flags): number | undefined {
  if (budget === undefined || drain === true) return budget as number | undefined
  throw new OutboxError('INVALID_OPTION', '--budget is for --drain.', { remedy: 'Add --drain, or remove --budget.' })
}

/**
 * Says why messages are left, and returns the exit code. Cron comes again: with a budget it is no failure that others drain, or that the
 * time was over while messages were published.
 */
export function tellDrained(report: DrainReport, bounded: boolean): number {
  const { endedBy, published, blocked } = report
  if (endedBy === 'empty' && blocked === 0) return exitCodes.done
  if (bounded && (endedBy === 'others' || (endedBy === 'budget' && published > 0))) return exitCodes.done
  for (const line of ['Not everything could be published:', ...reasons(report).map((one) => `  - ${one}`)]) printError(line)
  return exitCodes.left
}

const isLeft = (n: number): string => `${counted(n, 'message')} ${n === 1 ? 'is' : 'are'} left in the outbox`

function reasons({ endedBy, waiting, blocked, foreignBuckets, pausedTopics, kafkaTrouble }: DrainReport): string[] {
  return [
    waiting === null ? 'the database did not answer' : '',
    waiting ? `${waiting >= 1000 ? 'at least ' : ''}${isLeft(waiting)}` : '',
    blocked > 0
      ? `${counted(blocked, 'key')} ${blocked === 1 ? 'is' : 'are'} blocked by a dead message: see "list --dead", then "redrive" or "discard"`
      : '',
    endedBy === 'others'
      ? `${counted(foreignBuckets, 'bucket')} ${foreignBuckets === 1 ? 'belongs' : 'belong'} to other relays`
      : '',
    kafkaTrouble === null ? '' : `Kafka takes no messages: ${kafkaTrouble}`,
    endedBy === 'budget' ? 'the budget was used up' : '',
    ...pausedTopics.map(({ topic, code }) => `topic ${topic} takes no messages: ${code}`),
  ].filter(Boolean)
}
