import { Command } from 'commander'
import { type InboxDeadLetter, InboxOperator, type InboxSelection } from '../inbox/operator.ts'
import type { SqlClient } from '../inbox/statements.ts'
import { OutboxError } from '../message/errors.ts'
import { type TableSet, tableNames } from '../message/tables.ts'
import { explained } from '../store/postgres/errors.ts'
import { codeOf, connectionConfig, Line } from '../store/postgres/line.ts'
import { createTables } from '../store/postgres/refusals.ts'
import { tableSetOf } from '../store/postgres/store.ts'
import { type Action, chosen, confirmed, operatorName, timeoutOf, untilAnswered } from './action.ts'
import { databaseConfig, type Flags } from './config.ts'
import { exitCodes } from './exit-codes.ts'
import { counted, keyText, span, table } from './format.ts'
import { prismaHelp } from './help.ts'
import { print, printJson } from './print.ts'
import { count, messageId, selectionOf } from './selection.ts'
import { addDatabaseFlags } from './settings.ts'

/** Milliseconds that a statement may take. */
const limits = { statementTimeoutMs: 30_000, lockTimeoutMs: 5_000 }

/** Messages of one call: each is named in the statement. */
const mostMessages = 1_000

/** No bound: the largest number that the statement takes. */
const mostListed = 2 ** 31 - 1

/** Messages that are dead again and shown with their errors, at most. */
const shownAgain = 20

/** Characters of an error in a table; JSON has all that is kept. */
const errorLength = 200

/** In place of a reason: it waits behind another message of its key. */
const behind = 'behind'

/** The command `inbox`, with `list`, `redrive` and `discard`. */
export function inboxCommand(): Command {
  const command = new Command('inbox')
    .description('Messages that a consumer has put aside: list them, apply them again in order, or drop them')
    .argument('<list|redrive|discard>', 'What to do')
    .argument('[message-ids...]', 'Ids of dead-lettered messages, as list shows them', (id: string, ids: string[] = []) => [
      ...ids,
      messageId(id),
    ])
    .option('--consumer <name>', 'Only of this consumer')
    .option('--topic <topic>', 'Only of this topic')
    .option('--key <key>', 'Only of this key, as text, or 0x… for bytes')
    .option('--reason <code>', 'Only those of this reason')
    .option('--all', 'All dead-lettered messages')
    .option('--limit <n>', `At most N messages (default: 50 for list, otherwise ${mostMessages}, which is the most)`, count)
    .option('--yes', 'For discard: do not ask')
    .option('--timeout <seconds>', 'Time for the consumer to answer (default: 30)', count)
    .option('--json', 'As JSON, keys in base64')
  addDatabaseFlags(command).action(async (action: string, ids: string[] | undefined, flags: Flags) => {
    const act = actions[action as keyof typeof actions]
    if (act === undefined) {
      const remedy = 'Use "inbox list", "inbox redrive" or "inbox discard".'
      throw new OutboxError('INVALID_OPTION', 'The command inbox has no such action.', { field: 'inbox', remedy })
    }
    await withInboxOperator(flags, (operator) =>
      act(operator, { ...selectionOf(flags, ids), consumer: flags.consumer as string | undefined }, flags),
    )
  })
  return prismaHelp(command, [
    ['What is dead-lettered, and why', 'list --consumer mail'],
    ['Apply a message again, and then those behind it', 'redrive 0197f3a0-0000-7000-8000-000000000001'],
    ['Everything that a bug of the handler put aside', 'redrive --consumer mail --reason HANDLER_FAILED'],
    ['Drop one for good; those behind it are applied', 'discard 0197f3a0-0000-7000-8000-000000000001'],
  ])
}

/** Runs `use` with an operator's view of dead-lettered messages in the database that the flags name. */
async function withInboxOperator(flags: Flags, use: (operator: InboxOperator) => Promise<void>): Promise<void> {
  const config = databaseConfig(flags, process.env)
  const set = tableSetOf(config)
  const explaining = <T>(work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw codeOf(error) === '42P01' ? missingTable(set, error) : explained(error)
    })
  const line = await explaining(Line.open(connectionConfig(config.databaseUrl), limits, () => {}))
  const client: SqlClient = {
    $queryRaw: (strings, ...values) => explaining(line.$queryRaw(strings, ...values)),
    $executeRaw: (strings, ...values) => explaining(line.$executeRaw(strings, ...values)),
  }
  await use(new InboxOperator(client, set)).finally(() => line.close())
}

function missingTable(set: TableSet, cause: unknown): OutboxError {
  const what = `The table ${set.prefix}${tableNames.inboxDead} is not in schema ${set.schema}.`
  return new OutboxError('TABLES_MISSING', what, { remedy: createTables(set, ' --inbox'), cause })
}

const actions = {
  async list(operator: InboxOperator, which: InboxSelection, flags: Flags): Promise<void> {
    const messages = await operator.list({ ...which, limit: (flags.limit as number | undefined) ?? 50, firsts: false })
    if (flags.json === true) printJson(messages.map(json))
    else print(messages.length === 0 ? 'No messages.' : text(messages))
  },
  redrive: (operator: InboxOperator, which: InboxSelection, flags: Flags) => requestAndWait(operator, 'redrive', which, flags),
  discard: (operator: InboxOperator, which: InboxSelection, flags: Flags) => requestAndWait(operator, 'discard', which, flags),
}

/** Writes the request on messages that were put aside for a reason of their own, or on those that are named, and waits for the answer. */
async function requestAndWait(operator: InboxOperator, action: Action, which: InboxSelection, flags: Flags): Promise<void> {
  const parts = 'message ids, --consumer, --topic, --key, --reason or --all'
  chosen(which, flags, { action: `inbox ${action}`, parts })
  const limit = Math.min((flags.limit as number | undefined) ?? mostMessages, mostMessages)
  const messages = await operator.list({ ...which, limit, firsts: which.messageIds === undefined })
  if (messages.length === 0) {
    throw new OutboxError('NOT_FOUND', 'No such message is dead-lettered.', { field: 'message-ids', remedy: 'See "inbox list".' })
  }
  if (flags.json !== true) print(text(messages))
  if (action === 'discard' && flags.yes !== true && !(await confirmed(messages.length, flags.json === true))) {
    return flags.json === true ? printJson({ action, messages: messages.map(json), done: false }) : print('Nothing was dropped.')
  }
  await operator.request(messages, action, operatorName())
  const left = await answered(operator, messages, timeoutOf(flags))
  const dead = left === 0 ? [] : await stillDead(operator, messages)
  // A handler that failed again is no success, whatever was tried.
  if (left > 0) process.exitCode = exitCodes.failed
  const codes = byReason(dead)
  if (flags.json === true)
    return printJson({ action, messages: messages.map(json), done: true, stillDead: left, deadAgain: codes })
  const done = counted(messages.length - left, 'message')
  if (action === 'discard') return print(`Dropped: ${done}.`)
  print(`Applied: ${done}, with those behind.`)
  if (left === 0) return
  const named = Object.entries(codes).map(([code, n]) => `${n} ${code}`)
  print(`Dead again: ${counted(left, 'message')} (${named.join(', ')}).\n${text(dead.slice(0, shownAgain))}`)
}

/** Those of the messages that are dead-lettered now, as they are now. */
async function stillDead(operator: InboxOperator, messages: readonly InboxDeadLetter[]): Promise<InboxDeadLetter[]> {
  const nameOf = ({ consumer, identity }: InboxDeadLetter) => `${identity} ${consumer}`
  const asked = new Set(messages.map(nameOf))
  const messageIds = messages.map(({ identity }) => identity)
  // Consumers may share a topic: an id then names a message of each.
  const found = await operator.list({ messageIds, limit: mostListed, firsts: false })
  return found.filter((one) => asked.has(nameOf(one)))
}

function byReason(dead: readonly InboxDeadLetter[]): Record<string, number> {
  const found: Record<string, number> = {}
  for (const { reason } of dead) found[reason ?? behind] = (found[reason ?? behind] ?? 0) + 1
  return found
}

/**
 * Waits until the consumers have answered all, those behind them included; returns how many are dead-lettered still. `timeoutMs` since the last
 * answer.
 */
async function answered(operator: InboxOperator, messages: readonly InboxDeadLetter[], timeoutMs: number): Promise<number> {
  const { there } = await untilAnswered(
    () => operator.answers(messages),
    timeoutMs,
    (open) =>
      new OutboxError('NO_ANSWER', `No consumer has answered for ${open} of ${counted(messages.length, 'message')}.`, {
        remedy: 'See whether the consumer runs; the request stands, and it is carried out when it does.',
      }),
  )
  return there
}

function text(messages: readonly InboxDeadLetter[]): string {
  const rows = messages.map((one) => [
    one.identity,
    `${one.reason ?? behind}${one.requestedAction === null ? '' : ` (${one.requestedAction})`}`,
    one.consumer,
    `${one.topic}/${one.partition}@${one.offset}`,
    keyText(one.key),
    String(one.attempts),
    span(one.diedMs),
    errorText(one.error),
  ])
  return table(['Message', 'Reason', 'Consumer', 'Record', 'Key', 'Tries', 'Since', 'Error'], rows)
}

/** An error in one line: Prisma's have several, and begin with an empty one. */
function errorText(error: string | null): string {
  const line = (error ?? '').replace(/\s+/g, ' ').trim()
  return line.length > errorLength ? `${line.slice(0, errorLength)}…` : line
}

const json = ({ key, ...message }: InboxDeadLetter): object => ({
  ...message,
  key: key === null ? null : Buffer.from(key).toString('base64'),
})
