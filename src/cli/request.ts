import { hostname, userInfo } from 'node:os'
import { createInterface } from 'node:readline'
import { Command } from 'commander'
import { OutboxError } from '../message/errors.ts'
import type { ListedMessage, Operator, Reach, Selection } from '../store/operator.ts'
import type { RowName } from '../store/store.ts'
import type { Flags } from './config.ts'
import { counted } from './format.ts'
import { prismaHelp } from './help.ts'
import { withOperator } from './operator.ts'
import { print, printJson } from './print.ts'
import { addFilterFlags, count, messageId, messageJson, messagesText, selectionOf } from './selection.ts'
import { addDatabaseFlags } from './settings.ts'

type Action = 'redrive' | 'discard'

/** Milliseconds between two polls for an answer. */
const lookMs = 100

/** Messages that are shown, at most. */
const shownMessages = 50

/** Requests that are written before the relays have answered them: a million at once would be one long transaction after another. */
const portion = 20_000

/** Names of one poll for an answer. */
const lookRows = 1_000

/** The command `redrive`. */
export function redriveCommand(): Command {
  const command = new Command('redrive').description('Send dead messages again: whole keys, in order, under their old ids')
  return prismaHelp(addAction(command, 'redrive'), [
    ['One message, and those that wait behind it', '0197f3a0-0000-7000-8000-000000000001'],
    ['All that were too large, after the topic’s limit was raised', '--reason MESSAGE_TOO_LARGE'],
    ['What died of the last hour of a topic', '--topic order_placed --newer-than 1h'],
    ['Everything', '--all'],
  ])
}

/** The command `discard`. */
export function discardCommand(): Command {
  const command = new Command('discard')
    .description('Drop dead messages for good; those behind them are sent')
    .option('--yes', 'Do not ask')
  return prismaHelp(addAction(command, 'discard'), [
    ['One message', '0197f3a0-0000-7000-8000-000000000001'],
    ['What would be dropped', '--topic order_placed --older-than 30d --dry-run'],
  ])
}

function addAction(command: Command, action: Action): Command {
  command
    .argument('[message-ids...]', 'Ids of dead messages', (id: string, ids: string[] = []) => [...ids, messageId(id)])
    .option('--reason <code>', 'Only those of this reason')
    .option('--all', 'All dead messages')
    .option(
      '--limit <n>',
      action === 'redrive' ? 'At most N keys, the lowest ids first' : 'At most N messages, the lowest ids first',
      count,
    )
    .option('--dry-run', 'Only show the messages')
    .option('--json', 'As JSON: spans in milliseconds, keys in base64')
    .option('--timeout <seconds>', 'Time for the relay to answer (default: 30)', count)
  return addFilterFlags(addDatabaseFlags(command)).action((ids: string[], flags: Flags) =>
    withOperator(flags, (operator) => carryOut(operator, action, ids ?? [], flags)),
  )
}

async function carryOut(operator: Operator, action: Action, ids: readonly string[], flags: Flags): Promise<void> {
  const which = selectionOf(flags, ids)
  if (Object.values(which).every((part) => part === undefined) && flags.all !== true) {
    throw new OutboxError('INVALID_OPTION', `${action} needs to know which messages.`, {
      field: 'message-ids',
      remedy: 'Give message ids, --topic, --key, --reason, --older-than, --newer-than or --all.',
    })
  }
  const limit = (flags.limit as number | undefined) ?? Number.MAX_SAFE_INTEGER
  const reach = await operator.reach({ ...which, limit }, action)
  if (reach.keys === 0 || (action === 'discard' && reach.messages < Math.min(limit, new Set(ids).size))) {
    throw new OutboxError('NOT_FOUND', 'No such message is dead.', { field: 'message-ids', remedy: 'See "list --dead".' })
  }
  const chosen = await operator.choose({ ...which, limit: Math.min(limit, shownMessages) }, action)
  const by = operatorName()
  const json = (done: boolean) =>
    printJson({ action, by, dryRun: flags.dryRun === true, done, ...reach, shown: chosen.map((one) => messageJson(one)) })
  if (flags.json !== true) print(chosenText(chosen, reach))
  if (flags.dryRun === true) return flags.json === true ? json(false) : undefined
  if (action === 'discard' && flags.yes !== true && !(await confirmed(reach.messages, flags.json === true))) {
    return flags.json === true ? json(false) : print('Nothing was dropped.')
  }
  await requestAndWait(operator, action, {
    which,
    limit,
    keys: reach.keys,
    by,
    timeoutMs: ((flags.timeout as number | undefined) ?? 30) * 1_000,
  })
  if (flags.json === true) return json(true)
  const messages = counted(reach.messages, 'message')
  print(action === 'redrive' ? `Put back: ${counted(reach.keys, 'key')}, ${messages}.` : `Dropped: ${messages}.`)
}

function chosenText(chosen: readonly ListedMessage[], { keys }: Reach): string {
  const more = keys - chosen.length
  return more > 0 ? `${messagesText(chosen)}\n… and ${more} more` : messagesText(chosen)
}

/** Who asks, for the log of the relay: a replay needs an audit trail. */
export function operatorName(): string {
  try {
    return `${userInfo().username}@${hostname()}`
  } catch {
    // A container may run under a user id that has no name.
    return `${process.getuid?.() ?? 'unknown'}@${hostname()}`
  }
}

/** Asks a person; without one, refuses: what is dropped is gone. */
export function confirmed(n: number, json: boolean): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new OutboxError('INVALID_OPTION', 'discard asks before it drops messages, and nobody is there to answer.', {
      field: '--yes',
      remedy: 'Give --yes.',
    })
  }
  const line = createInterface({ input: process.stdin, output: json ? process.stderr : process.stdout })
  return new Promise((resolve) => {
    // Ctrl-D is a no.
    line.on('close', () => resolve(false))
    line.question(`Drop ${counted(n, 'message')} for good? (y/N) `, (answer) => {
      resolve(/^y(es)?$/i.test(answer.trim()))
      line.close()
    })
  })
}

/**
 * Writes the requests portion by portion, and waits until the relays have answered each. In the order of the ids: what is refused once more
 * stands below those that are still to come, and is not asked for a second time.
 */
async function requestAndWait(
  operator: Operator,
  action: Action,
  what: { which: Selection; limit: number; keys: number; by: string; timeoutMs: number },
): Promise<void> {
  let after = 0
  for (let left = what.keys; left > 0; ) {
    const names = await operator.names({ ...what.which, after, limit: Math.min(portion, left) }, action)
    // Another operator was quicker.
    if (names.length === 0) return
    await operator.request(names, action, what.by)
    await answered(operator, action, names, what.timeoutMs)
    left -= names.length
    after = names.at(-1)!.id
  }
}

/** Waits until the relays that own the buckets have answered; `timeoutMs` since the last answer. */
async function answered(operator: Operator, action: Action, requested: readonly RowName[], timeoutMs: number): Promise<void> {
  let until = performance.now() + timeoutMs
  for (let open = requested; open.length > 0; ) {
    const looked = open.slice(0, lookRows)
    const left = await operator.unanswered(looked, action)
    if (left.length < looked.length) until = performance.now() + timeoutMs
    open = [...left, ...open.slice(looked.length)]
    if (left.length === 0) continue
    if (performance.now() > until) {
      const what = action === 'redrive' ? 'key' : 'message'
      throw new OutboxError('NO_ANSWER', `No relay has answered for ${open.length} of ${counted(requested.length, what)}.`, {
        remedy: 'See "status" whether a relay is running; the request stands, and the next relay carries it out.',
      })
    }
    await new Promise((resolve) => setTimeout(resolve, lookMs))
  }
}
