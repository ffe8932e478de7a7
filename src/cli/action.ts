import { hostname, userInfo } from 'node:os'
import { createInterface } from 'node:readline'
import { OutboxError } from '../message/errors.ts'
import type { Flags } from './config.ts'
import { counted } from './format.ts'

// What redrive and discard have in common, of the outbox and of the inbox: they check what is chosen, ask a person, leave a request in the tables,
// and wait until a relay or a consumer has answered it.

/** What becomes of dead letters. */
export type Action = 'redrive' | 'discard'

/** Milliseconds between two polls for an answer. */
const pollMs = 100

/** Refuses a command that names no messages at all. `parts`: the flags that name some. Throws OUTBOX_INVALID_OPTION. */
export function chosen<S extends object>(which: S, flags: Flags, { action, parts }: { action: string; parts: string }): S {
  if (flags.all === true || Object.values(which).some((part) => part !== undefined)) return which
  throw new OutboxError('INVALID_OPTION', `${action} needs to know which messages.`, {
    field: 'message-ids',
    remedy: `Give ${parts}.`,
  })
}

/** Milliseconds of --timeout. */
export const timeoutOf = (flags: Flags): number => ((flags.timeout as number | undefined) ?? 30) * 1_000

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
 * Polls until no request is open. `at` changes as long as somebody is at work: `timeoutMs` is the time without such a change after which
 * `late` is thrown.
 */
export async function untilAnswered<P extends { open: number; at: string | number }>(
  poll: () => Promise<P>,
  timeoutMs: number,
  late: (open: number) => OutboxError,
): Promise<P> {
  let before: P['at'] | undefined
  for (let until = 0; ; ) {
    const found = await poll()
    if (found.open === 0) return found
    if (found.at !== before) until = performance.now() + timeoutMs
    before = found.at
    if (performance.now() > until) throw late(found.open)
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}
