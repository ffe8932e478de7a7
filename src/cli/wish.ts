import { createInterface } from 'node:readline'
import { Command } from 'commander'
import { OutboxError } from '../message/errors.ts'
import type { ListedMessage, Operator } from '../store/operator.ts'
import type { Flags } from './config.ts'
import { prismaHelp } from './help.ts'
import { print, withOperator } from './operator.ts'
import { addFilterFlags, count, messageId, messagesText, selectionOf } from './selection.ts'
import { addDatabaseFlags } from './settings.ts'

type Wish = 'redrive' | 'discard'

/** Milliseconds between two looks for an answer. */
const lookMs = 100

/** The command `redrive`. */
export function redriveCommand(): Command {
  const command = new Command('redrive').description('Send dead messages again: whole keys, in order, under their old ids')
  return prismaHelp(addWish(command, 'redrive'), [
    ['One message, and those that wait behind it', '0197f3a0-0000-7000-8000-000000000001'],
    ['All that were too large, after the topic’s limit was raised', '--reason MESSAGE_TOO_LARGE'],
    ['Everything', '--all'],
  ])
}

/** The command `discard`. */
export function discardCommand(): Command {
  const command = new Command('discard')
    .description('Drop dead messages for good; those behind them are sent')
    .option('--yes', 'Do not ask')
  return prismaHelp(addWish(command, 'discard'), [
    ['One message', '0197f3a0-0000-7000-8000-000000000001'],
    ['What would be dropped', '--topic order_placed --dry-run'],
  ])
}

function addWish(command: Command, wish: Wish): Command {
  command
    .argument('[message-ids...]', 'Ids of dead messages', (id: string, ids: string[] = []) => [...ids, messageId(id)])
    .option('--reason <code>', 'Those of this reason')
    .option('--all', 'All dead messages')
    .option('--dry-run', 'Only show which they are')
    .option('--timeout <seconds>', 'Time for the relay to answer (default: 30)', count)
  return addFilterFlags(addDatabaseFlags(command)).action((ids: string[], flags: Flags) =>
    withOperator(flags, (operator) => carryOut(operator, wish, ids ?? [], flags)),
  )
}

async function carryOut(operator: Operator, wish: Wish, ids: readonly string[], flags: Flags): Promise<void> {
  const which = selectionOf(flags, ids)
  if (Object.values(which).every((part) => part === undefined) && flags.all !== true) {
    throw new OutboxError('INVALID_OPTION', `${wish} needs to know which messages.`, {
      field: 'message-ids',
      remedy: 'Give message ids, --topic, --key, --reason or --all.',
    })
  }
  const chosen = await operator.choose(which, wish)
  const missing = ids.filter((id) => wish === 'discard' && !chosen.some((message) => message.messageId === id))
  if (chosen.length === 0 || missing.length > 0) {
    throw new OutboxError('NOT_FOUND', 'No such message is dead.', { field: 'message-ids', remedy: 'See "list --dead".' })
  }
  print(messagesText(chosen))
  if (flags.dryRun === true) return
  if (wish === 'discard' && flags.yes !== true && !(await confirmed(chosen.length))) return print('Nothing was dropped.')
  await operator.wish(chosen, wish)
  await answered(operator, wish, chosen, ((flags.timeout as number | undefined) ?? 30) * 1_000)
  print(
    wish === 'redrive'
      ? `Put back: ${chosen.length} ${plural('key', chosen.length)}.`
      : `Dropped: ${chosen.length} ${plural('message', chosen.length)}.`,
  )
}

const plural = (word: string, n: number): string => (n === 1 ? word : `${word}s`)

/** Asks a person; without one, refuses: what is dropped is gone. */
function confirmed(n: number): Promise<boolean> {
  if (!process.stdin.isTTY) {
    throw new OutboxError('INVALID_OPTION', 'discard asks before it drops messages, and nobody is there to answer.', {
      field: '--yes',
      remedy: 'Give --yes.',
    })
  }
  const line = createInterface({ input: process.stdin, output: process.stdout })
  return new Promise((resolve) => {
    // Ctrl-D is a no.
    line.on('close', () => resolve(false))
    line.question(`Drop ${n} ${plural('message', n)} for good? (y/N) `, (answer) => {
      resolve(/^y(es)?$/i.test(answer.trim()))
      line.close()
    })
  })
}

/** Waits until the relays that own the buckets have answered. */
async function answered(operator: Operator, wish: Wish, chosen: readonly ListedMessage[], timeoutMs: number): Promise<void> {
  const until = performance.now() + timeoutMs
  for (;;) {
    const left = await operator.unanswered(chosen, wish)
    if (left.length === 0) return
    if (performance.now() > until) {
      throw new OutboxError(
        'NO_ANSWER',
        `No relay has answered for ${left.length} of ${chosen.length} ${plural('message', chosen.length)}.`,
        {
          remedy: 'See "status" whether a relay is running; the wish stands, and the next relay carries it out.',
        },
      )
    }
    await new Promise((resolve) => setTimeout(resolve, lookMs))
  }
}
