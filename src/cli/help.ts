import type { Command, Help } from 'commander'

/** An example of a command's help: what it does, and the arguments that do it. */
export type Example = [what: string, args: string]

/** Gives a command's help the look of Prisma's own: one sentence, Usage, Options, Examples. */
export function prismaHelp(command: Command, examples: Example[]): Command {
  return command.configureHelp({ formatHelp: (it, help) => format(it, help, examples) })
}

function format(command: Command, help: Help, examples: Example[]): string {
  const program = command.parent?.name() ?? 'prisma-extension-outbox'
  const options = help.visibleOptions(command).map((option): Example => [help.optionTerm(option), help.optionDescription(option)])
  const width = Math.max(...options.map(([term]) => term.length))
  const lines = [
    `\n${command.description()}\n`,
    `Usage\n\n  $ ${program} ${command.name()} [options]\n`,
    `Options\n\n${options.map(([term, what]) => `  ${term.padStart(width)}   ${what}`).join('\n')}\n`,
    'Examples\n',
    ...examples.map(([what, args]) => `  ${what}\n  $ ${`npx ${program} ${command.name()} ${args}`.trim()}\n`),
  ]
  return lines.join('\n')
}
