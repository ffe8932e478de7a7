import { Command } from 'commander'
import { OutboxError } from '../message/errors.ts'
import type { ListedMessage, Operator, Reach, Selection } from '../store/operator.ts'
import type { RowName } from '../store/store.ts'
import { type Action, chosen, confirmed, operatorName, timeoutOf, untilAnswered } from './action.ts'
import type { Flags } from './config.ts'
import { counted } from './format.ts'
import { prismaHelp } from './help.ts'
import { withOperator } from './operator.ts'
import { print, printJson } from './print.ts'
import { addFilterFlags, count, messageId, messageJson, messagesText, selectionOf } from './selection.ts'
import { addDatabaseFlags } from './settings.ts'

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
    .option('--reason <code>', 'Those of this reason')
    .option('--all', 'All dead messages')
    .option('--limit <n>', action === 'redrive' ? 'At most so many keys' : 'At most so many messages', count)
    .option('--dry-run', 'Only show which they are')
    .option('--json', 'As JSON, keys in base64')
    .option('--timeout <seconds>', 'Time for the relay to answer (default: 30)', count)
  return addFilterFlags(addDatabaseFlags(command)).action((ids: string[], flags: Flags) =>
    withOperator(flags, (operator) => carryOut(operator, action, ids ?? [], flags)),
  )
}

async function carryOut(operator: Operator, action: Action, ids: readonly string[], flags: Flags): Promise<void> {
  const parts = 'message ids, --topic, --key, --reason, --older-than, --newer-than or --all'
  const which = chosen(selectionOf(flags, ids), flags, { action, parts })
  const limit = (flags.limit as number | undefined) ?? Number.MAX_SAFE_INTEGER
  const reach = await operator.reach({ ...which, limit }, action)
  if (reach.keys === 0 || (action === 'discard' && reach.messages < Math.min(limit, new Set(ids).size))) {
    throw new OutboxError('NOT_FOUND', 'No such message is dead.', { field: 'message-ids', remedy: 'See "list --dead".' })
  }
  const shown = await operator.choose({ ...which, limit: Math.min(limit, shownMessages) }, action)
  const by = operatorName()
  const json = (done: boolean) =>
    printJson({ action, by, dryRun: flags.dryRun === true, done, ...reach, shown: shown.map((one) => messageJson(one)) })
  if (flags.json !== true) print(chosenText(shown, reach))
  if (flags.dryRun === true) return flags.json === true ? json(false) : undefined
  if (action === 'discard' && flags.yes !== true && !(await confirmed(reach.messages, flags.json === true))) {
    return flags.json === true ? json(false) : print('Nothing was dropped.')
  }
  await requestAndWait(operator, action, {
    which,
    limit,
    keys: reach.keys,
    by,
    timeoutMs: timeoutOf(flags),
  })
  if (flags.json === true) return json(true)
  const messages = counted(reach.messages, 'message')
  print(action === 'redrive' ? `Put back: ${counted(reach.keys, 'key')}, ${messages}.` : `Dropped: ${messages}.`)
}

function chosenText(chosen: readonly ListedMessage[], { keys }: Reach): string {
  const more = keys - chosen.length
  return more > 0 ? `${messagesText(chosen)}\n… and ${more} more` : messagesText(chosen)
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
  let open = requested
  const poll = async () => {
    for (;;) {
      const asked = open.slice(0, lookRows)
      const left = await operator.unanswered(asked, action)
      open = [...left, ...open.slice(asked.length)]
      if (left.length > 0 || open.length === 0) return { open: open.length, at: open.length }
    }
  }
  await untilAnswered(poll, timeoutMs, (left) => {
    const all = counted(requested.length, action === 'redrive' ? 'key' : 'message')
    return new OutboxError('NO_ANSWER', `No relay has answered for ${left} of ${all}.`, {
      remedy: 'See "status" whether a relay is running; the request stands, and the next relay carries it out.',
    })
  })
}
