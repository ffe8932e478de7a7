// What `prove` says on the standard output: what was done, a line for each promise with its answer, and what broke it. For people who have not
// written the checks; the torture has a table of its own (test/history/report.ts).

import type { Figures, Judgement, proofChecks, Verdict } from '../proof/checks.ts'
import type { History } from '../proof/history.ts'
import { counted, span, table } from './format.ts'

/** The promise behind each check. */
const promises: Record<keyof typeof proofChecks, string> = {
  loss: 'Every message of a committed transaction is in Kafka',
  phantom: 'Kafka has no message of a transaction that rolled back',
  integrity: 'Key, value, headers and partition are what was enqueued',
  'serialized order': 'A key is in order if its transactions lock the same row',
  'unserialized order': 'A key is in order if each message follows a commit of the one before',
  regressions: 'An older message behind a newer one is only a second copy',
  duplicates: 'Second copies are no more than the kills explain',
  liveness: 'The outbox is empty soon after the last kill, without a dead message',
}

/** Faults that are listed. */
const mostListed = 20

/** The result of a proof, in lines. */
export function proofText(history: History, { figures, verdicts, violations }: Judgement): string {
  return [
    factsText(history, figures),
    '',
    table(
      ['Promise', 'Kept', 'Checked'],
      verdicts.map((verdict) => [promiseOf(verdict.check), keptText(verdict), detail(verdict, history, figures)]),
    ),
    ...(violations.length === 0 ? [] : ['', 'Not kept:']),
    ...violations
      .slice(0, mostListed)
      .flatMap(({ check, of, expected, found }) => [
        `- ${promiseOf(check)}: ${of}`,
        `    expected: ${expected}`,
        `    found:    ${found}`,
      ]),
    ...(violations.length > mostListed ? [`  … and ${violations.length - mostListed} more; --json has all`] : []),
  ].join('\n')
}

const promiseOf = (check: string): string => promises[check as keyof typeof promises]

function factsText({ faults }: History, { transactions, committed, messages, records, duplicates }: Figures): string {
  return [
    `${counted(transactions, 'transaction')} written, ${committed} of them known to be committed; ${counted(messages, 'message')} in them.`,
    `${counted(faults.length, 'relay')} killed while they published.`,
    `${counted(records, 'record')} read from Kafka, ${duplicates} of them second copies.`,
  ].join('\n')
}

function keptText({ state }: Verdict): string {
  if (state === 'not judged') return '-'
  return state === 'passed' ? 'yes' : 'NO'
}

/** How often it was checked, and for two promises the figure behind it. */
function detail({ check, cases, state, violations, why }: Verdict, { rest }: History, figures: Figures): string {
  if (state === 'violated') return `broken ${counted(violations, 'time')}`
  if (state === 'not judged') return `not checked: ${why}`
  if (check === 'duplicates') return `${figures.duplicates}, at most ${figures.duplicateBound} are explained`
  if (check === 'liveness' && rest) return `after ${span(rest.emptiedMs ?? 0)}, within ${span(rest.limitMs)}`
  return counted(cases, 'time')
}
