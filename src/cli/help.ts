import type { Command, Help, Option } from 'commander'
import { groups, secretVariables } from './settings.ts'

/** An example of a command's help: what it does, and the arguments that do it. */
export type Example = [what: string, args: string]

/** Gives a command's help the look of Prisma's own: one sentence, Usage, Options, Examples. */
export function prismaHelp(command: Command, examples: Example[]): Command {
  return command.configureHelp({ formatHelp: (it, help) => format(it, help, examples) })
}

function format(command: Command, help: Help, examples: Example[]): string {
  const program = command.parent?.name() ?? 'prisma-extension-outbox'
  const options = help.visibleOptions(command)
  const width = Math.max(...options.map((option) => help.optionTerm(option).length))
  const line = (option: Option) => `  ${help.optionTerm(option).padStart(width)}   ${help.optionDescription(option)}`
  const groups = help.groupItems(options, options, (option) => option.helpGroupHeading ?? 'Options')
  const lines = [
    `\n${command.description()}\n`,
    `Usage\n\n  $ ${program} ${command.name()}${usageOf(command)} [options]\n`,
    ...[...groups].map(([heading, group]) =>
      [`${heading}\n`, ...group.map(line), ...secretsUnder(heading)].join('\n').concat('\n'),
    ),
    'Examples\n',
    ...examples.map(([what, args]) => `  ${what}\n  $ ${`npx ${program} ${command.name()} ${args}`.trim()}\n`),
  ]
  return lines.join('\n')
}

/** The secrets of a heading, which come from variables or files. */
function secretsUnder(heading: string): string[] {
  const variables = secretVariables(groups[heading as keyof typeof groups] ?? {})
  return variables.length === 0 ? [] : [`\n  Secrets from the environment: ${variables.join(', ')}`]
}

const usageOf = (command: Command): string =>
  command.registeredArguments
    .map((argument) => {
      const name = `${argument.name()}${argument.variadic ? '...' : ''}`
      return argument.required ? ` <${name}>` : ` [${name}]`
    })
    .join('')

/** The program's own help: what it is, its commands, and where to read on. */
export function programHelp(program: Command): Command {
  return program.configureHelp({
    formatHelp: (it, help) => {
      const commands = help.visibleCommands(it).filter((command) => command.name() !== 'help')
      const width = Math.max(...commands.map((command) => command.name().length))
      const lines = commands.map((command) => `  ${command.name().padStart(width)}   ${command.description()}`)
      return `\n${it.description()}\n\nUsage\n\n  $ ${it.name()} <command> [options]\n\nCommands\n\n${lines.join('\n')}\n\nHelp of a command\n\n  $ npx ${it.name()} <command> --help\n`
    },
  })
}
