/** What commander says about a command line that it does not understand, and what of it may be told. */
const forms: readonly [form: RegExp, told: (match: RegExpExecArray) => string][] = [
  [/^error: unknown option '(--[a-z-]*)?/, ([, name]) => (name ? `unknown option '${name}'` : 'unknown option')],
  [/^error: unknown command '/, () => 'unknown command'],
  [
    /^error: option '([^']*)' argument '[\s\S]*' is invalid\. ([^']*)$/,
    ([, name, why]) => `option '${name}' has an invalid value. ${why}`,
  ],
  [
    /^error: command-argument value '[\s\S]*' is invalid for argument '([a-z-]+)'\. ([^']*)$/,
    ([, name, why]) => `argument '${name}' is invalid. ${why}`,
  ],
  [/^error: (too many arguments(?: for '[a-z-]+')?\. Expected \d+ arguments? but got \d+\.)$/, ([, all]) => all!],
  [/^error: (missing required argument '[a-z-]+')$/, ([, all]) => all!],
  [/^error: (option '[^']*' argument missing)$/, ([, all]) => all!],
]

/** The names of ours that commander proposes. */
const hint = /\n\(Did you mean (one of )?[a-z-]+(, [a-z-]+)*\?\)$/

/**
 * A message of commander without anything that was given as a value: it quotes what it does not understand, and that may be a password. A
 * form that is not known is told as a whole without words of the command line.
 */
export function withoutValues(text: string): string {
  const message = text.trimEnd()
  for (const [form, told] of forms) {
    const match = form.exec(message)
    if (match) return `error: ${told(match)}${hint.exec(message)?.[0] ?? ''}\n`
  }
  return 'error: The command line is not understood. See --help.\n'
}

/** Flags that may hold a password, as commander names them, and what to use instead. */
const urls = [
  ['databaseUrl', '--database-url', 'DATABASE_URL'],
  ['listenUrl', '--listen-url', 'OUTBOX_LISTEN_URL'],
] as const

/** A line for each flag that holds a password: a process list shows it to everybody on the machine. */
export const openPasswords = (flags: Readonly<Record<string, unknown>>): string[] =>
  urls
    .filter(([name]) => hasPassword(flags[name]))
    .map(
      ([, flag, env]) =>
        `${flag} holds a password, and the process list of this machine shows it to everybody. Set ${env} instead.`,
    )

function hasPassword(url: unknown): boolean {
  if (typeof url !== 'string' || !URL.canParse(url)) return false
  const { password, searchParams } = new URL(url)
  return password !== '' || searchParams.has('password')
}
