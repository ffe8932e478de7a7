import type { CommanderError } from 'commander'
import { OutboxError } from '../message/errors.ts'
import type { Setting } from '../running/setting.ts'
import { settings } from './settings.ts'

/** What commander says about a command line that it does not understand, and what of it may be shown. */
const forms: readonly [form: RegExp, shown: (match: RegExpExecArray) => string][] = [
  [/^error: unknown option '(--[a-z-]*)?/, ([, name]) => (name ? `There is no option ${name}.` : 'There is no such option.')],
  [/^error: unknown command '/, () => 'There is no such command.'],
  [/^error: option '(--[a-z-]+)[^']*' argument '[\s\S]*' is invalid\. ([^']*)$/, ([, name, must]) => `${name} ${must}`],
  [
    /^error: command-argument value '[\s\S]*' is invalid for argument '([a-z-]+)'\. ([^']*)$/,
    ([, name, must]) => `The argument <${name}> ${must}`,
  ],
  [
    /^error: too many arguments[^.]*\. Expected (\d+) arguments? but got (\d+)\.$/,
    ([, n, m]) => `There are ${m} arguments, not ${n}.`,
  ],
  [/^error: missing required argument '([a-z-]+)'$/, ([, name]) => `The argument <${name}> is missing.`],
  [/^error: option '(--[a-z-]+)[^']*' argument missing$/, ([, name]) => `The value of ${name} is missing.`],
]

/** The names of ours that commander proposes. */
const hint = /\n\((Did you mean (?:one of )?[a-z-]+(?:, [a-z-]+)*\?)\)$/

/**
 * The error of a command line that is not understood, without anything that was given as a value: commander quotes it, and it may be a
 * password. A form that is not known is reported without words of the command line.
 */
export function usageError({ message }: Pick<CommanderError, 'message'>): OutboxError {
  const help = 'See --help.'
  for (const [form, shown] of forms) {
    const match = form.exec(message)
    if (match)
      return new OutboxError('INVALID_OPTION', shown(match), { remedy: hint.exec(message)?.[1] ?? longer(match[1]) ?? help })
  }
  return new OutboxError('INVALID_OPTION', 'The command line is not understood.', { remedy: help })
}

/** Commander finds names of the same length: this finds `--kafka-brokers` for `--brokers`. */
function longer(name: string | undefined): string | undefined {
  if (!name?.startsWith('--')) return undefined
  const flags = Object.values<Setting>(settings).flatMap(({ flag }) => flag?.split(' ')[0] ?? [])
  const found = flags.filter((flag) => flag.endsWith(name.slice(1)))
  return found.length === 0 ? undefined : `Did you mean ${found.length > 1 ? 'one of ' : ''}${found.join(', ')}?`
}

/** A line for each flag that holds a password: a process list shows it to everybody on the machine. */
export const openPasswords = (flags: Readonly<Record<string, unknown>>): string[] =>
  Object.entries<Setting>(settings)
    .filter(([name, { secret }]) => secret && hasPassword(flags[name]))
    .map(
      ([, { flag, env }]) =>
        `${flag!.split(' ')[0]} holds a password, and the process list of this machine shows it to everybody. Set ${env} instead.`,
    )

function hasPassword(url: unknown): boolean {
  if (typeof url !== 'string' || !URL.canParse(url)) return false
  const { password, searchParams } = new URL(url)
  return password !== '' || searchParams.has('password')
}
