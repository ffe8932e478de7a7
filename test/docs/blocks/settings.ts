import type { Command, Option } from 'commander'
import { program } from '../../../src/cli/program.ts'
import { groups, secretVariables } from '../../../src/cli/settings.ts'
import { defaultText, type Setting } from '../../../src/running/setting.ts'
import { code, table } from '../markdown.ts'

const { commands } = await program()

/** The settings of a group. */
export function settingsTable(heading: string): string {
  const group: Record<string, Setting> = groups[heading as keyof typeof groups]
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

/** Variables that hold a secret. */
export const secretList = (): string =>
  `${Object.values<Record<string, Setting>>(groups)
    .flatMap(secretVariables)
    .filter((variable) => !variable.endsWith('_FILE'))
    .map(code)
    .join(', ')}.`

/** Every command. */
export const commandTable = (): string =>
  table(
    ['command', 'what it does'],
    commands.map((one) => [code(usageOf(one)), one.description()]),
  )

/** Flags of a command that no variable stands behind: settings have a table of their own. */
export function flagTable(name: string): string {
  const command = commands.find((one) => one.name() === name)!
  const own = command.options.filter(({ description }: Option) => !/\[[A-Z_]+\]$/.test(description))
  return table(
    ['flag', 'meaning'],
    own.map(({ flags, description }) => [code(flags), description]),
  )
}

const usageOf = (command: Command): string => {
  const names = command.registeredArguments.map((argument) => {
    const name = `${argument.name()}${argument.variadic ? '...' : ''}`
    return argument.required ? `<${name}>` : `[${name}]`
  })
  return [command.name(), ...names].join(' ')
}
