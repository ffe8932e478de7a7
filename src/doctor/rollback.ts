import { visible } from '../ops/format.ts'
import { failure, ok, unseen, type Verdict } from './verdict.ts'

const check = 'rollback'

/** What was found after a transaction of the application's client had failed on purpose. */
export interface RollbackFacts {
  /** Which writes stayed: that of `enqueue`, a raw statement, and that of the application's own way. */
  stayed: { enqueue: boolean; own: boolean }
  /** The application's own way: with Prisma 8 a statement that nobody awaits. */
  way: 'a model' | 'a statement'
  /** Whether every enqueue is refused, because its statements do not reach the transaction. */
  refused: boolean
  /** Whether the client wrote to the outbox that was looked at. */
  samePlace: boolean
  /** Why it could not be tried; undefined: it was. */
  trouble: unknown
}

/** Without a client there is nothing to try. */
export const untriedRollback: Verdict = unseen(
  check,
  'No client is given.',
  'A query extension can take what a transaction writes out of it.',
  'Name the module that exports the client: --client src/db.ts',
)

/** Judges what stayed of a transaction that failed; `name`: module and export of the client. */
export function judgeRollback(name: string, { stayed, way, refused, samePlace, trouble }: RollbackFacts): Verdict {
  const { all, fix } = words[way]
  if (stayed.enqueue || stayed.own) {
    const ways = [...(stayed.enqueue ? ['enqueue'] : []), ...(stayed.own ? [way] : [])].join(' and ')
    const why = stayed.enqueue
      ? 'A message is published whose transaction failed.'
      : 'Where a transaction fails, its rows stay and its messages do not.'
    return failure(check, `${name}: what ${ways} wrote in a transaction stayed after its rollback.`, why, fix)
  }
  if (trouble !== undefined) {
    const what = `${name}: no transaction could be tried (${lastLine(trouble)}).`
    return failure(check, what, 'Nobody knows whether its transactions hold together.', 'Fix what is named above.')
  }
  if (!samePlace) {
    const what = `${name} writes to another outbox than this command looks at.`
    return failure(
      check,
      what,
      'Nothing can be said of it.',
      'Give both the same DATABASE_URL and the same tables (--schema, --table-prefix).',
    )
  }
  if (refused) {
    const what = `${name}: enqueue is refused in every transaction, since its statements do not reach it.`
    return failure(check, what, 'No message can be enqueued with this client.', fix)
  }
  return ok(check, `${name}: what ${all} write in a transaction goes with its rollback.`)
}

const words = {
  'a model': {
    all: 'enqueue and models',
    fix: 'A query extension of the client sends queries to another client, or in a transaction of its own. Let it call query(args) and nothing else; what must come first is the first statement of $transaction(async (tx) => …).',
  },
  'a statement': {
    all: 'enqueue and statements without await',
    fix: 'Export the client as withOutbox() returned it, and let no middleware answer a statement in the place of the database.',
  },
} as const

/** Prisma's messages show the place in the code first, and say what is wrong at the end. */
function lastLine(error: unknown): string {
  const lines = String(error instanceof Error ? error.message : error).split('\n')
  return visible(lines.findLast((line) => line.trim() !== '')?.trim() ?? 'no message')
}
