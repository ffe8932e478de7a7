// The pages that `npm run docs` writes from the code. A page keeps its prose; what stands between `<!-- generated: name -->` and
// `<!-- end -->` is the block of that name. A page that is generated as a whole has a `render` of its own.

import type { Command, Option } from 'commander'
import { program } from '../../src/cli/program.ts'
import { groups, secretVariables } from '../../src/cli/settings.ts'
import { defaultText, type Setting } from '../../src/running/setting.ts'

/** A page below the root of the repository. */
export interface Page {
  path: string
  /** The page as it has to be, from the page as it is. */
  render(text: string): string
}

/** Every generated page. */
export const pages: readonly Page[] = [
  'docs/reference/configuration.md',
  'docs/reference/cli.md',
  'docs/guides/kafka-auth.md',
  'docs/guides/prove.md',
].map((path) => ({ path, render: fill }))

/** Blocks by name; a name has the kind of the block in front, and then what it is about. */
const blocks: Record<string, (about: string) => string> = {
  settings: (heading) => settingsTable(groups[heading as keyof typeof groups]),
  secrets: () =>
    `${Object.values<Record<string, Setting>>(groups).flatMap(secretVariables).filter(isNoFile).map(code).join(', ')}.`,
  commands: () =>
    table(
      ['command', 'what it does'],
      program().commands.map((one) => [code(usageOf(one)), one.description()]),
    ),
  flags: (name) =>
    table(
      ['flag', 'meaning'],
      ownFlags(commandOf(name)).map(({ flags, description }) => [code(flags), description]),
    ),
}

/** Fills every marked block of a page. */
function fill(text: string): string {
  return text.replace(/(<!-- generated: (\w+) ?(\w*) -->\n)[\s\S]*?(?=\n<!-- end -->)/g, (_, mark, kind, about) => {
    const block = blocks[kind]
    if (!block) throw new Error(`There is no block ${kind}.`)
    return `${mark}\n${block(about)}\n`
  })
}

function settingsTable(group: Record<string, Setting>): string {
  const rows = Object.values(group).map((setting) => [
    [setting.flag, setting.fileFlag]
      .filter((flag) => flag !== undefined)
      .map(code)
      .join(' '),
    [setting.env, ...(setting.secret ? [`${setting.env}_FILE`] : [])].map(code).join(' '),
    setting.values.range,
    defaultText(setting) ?? '',
    `${setting.what}${setting.page === undefined ? '' : ` ([more](../${setting.page}))`}`,
  ])
  return table(['flag', 'variable', 'values', 'default', 'meaning'], rows)
}

const commandOf = (name: string): Command => program().commands.find((command) => command.name() === name)!

/** Flags that no variable stands behind: settings have a table of their own. */
const ownFlags = (command: Command): readonly Option[] =>
  command.options.filter(({ description }) => !/\[[A-Z_]+\]$/.test(description))

const usageOf = (command: Command): string => {
  const names = command.registeredArguments.map((argument) => {
    const name = `${argument.name()}${argument.variadic ? '...' : ''}`
    return argument.required ? `<${name}>` : `[${name}]`
  })
  return [command.name(), ...names].join(' ')
}

const isNoFile = (variable: string): boolean => !variable.endsWith('_FILE')

const code = (text: string): string => `\`${text}\``

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n')
