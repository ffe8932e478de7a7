import { type Html, html } from './html.ts'

/** The program, as the README calls it. */
const program = 'npx prisma-extension-outbox'

/**
 * A command of the program for a shell; undefined where a value has characters that nobody can see: pasted, they could do more than the
 * command says. Values stand behind an equals sign where they could be taken for a flag or be changed by the shell.
 */
export function commandLine(words: readonly string[], values: Readonly<Record<string, string>> = {}): string | undefined {
  if (Object.values(values).some((value) => /\p{C}/u.test(value))) return undefined
  const flags = Object.entries(values).map(([flag, value]) =>
    /^\w[\w.-]*$/.test(value) ? `${flag} ${value}` : `${flag}='${value.replaceAll("'", `'\\''`)}'`,
  )
  return [program, ...words, ...flags].join(' ')
}

/** A command ready to copy. Without the script its text can still be selected. */
export const copyable = (command: string | undefined): Html =>
  command === undefined
    ? html`<p class="note">No command: the name has characters that cannot be seen.</p>`
    : html`<div class="command"><code>${command}</code><button type="button" data-copy aria-label="Copy: ${command}">Copy</button></div>`
