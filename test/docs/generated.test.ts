import { Option } from 'commander'
import ts from 'typescript'
import { expect, test } from 'vitest'
import { program } from '../../src/cli/program.ts'
import { groups, settings } from '../../src/cli/settings.ts'
import { relayOptions } from '../../src/relay/options.ts'
import { defaultText, type Setting } from '../../src/running/setting.ts'
import { pageOf } from '../support/readme.ts'
import { pages } from './pages.ts'

test.each(pages)('docs are up to date: npm run docs changes nothing on $path', ({ path, render }) => {
  const text = pageOf(path)
  expect(render(text)).toBe(text)
})

test('every generated table has its block, once', async () => {
  const named = pages.flatMap(({ path }) => [...pageOf(path).matchAll(/<!-- generated: (.*) -->/g)].map(([, name]) => name))
  const commands = (await program()).commands.map((command) => `flags ${command.name()}`)
  const told = ['metrics relay', 'metrics tables', 'metrics inbox', 'events relay', 'events inbox', 'events projection']
  const tables = ['commands', 'secrets', 'errors', 'checks', 'compatibility', 'majors', ...told]
  const wanted = [...tables, ...commands, ...Object.keys(groups).map((name) => `settings ${name}`)]
  expect(named.sort()).toEqual(wanted.sort())
})

test('a block that is edited by hand, and one without a program behind it, are found', () => {
  const { path, render } = pages[0]!
  expect(render(pageOf(path).replace('| `--lease-ms <ms>` |', '| `--lease <ms>` |'))).toBe(pageOf(path))
  expect(() => render('<!-- generated: weather -->\n\n<!-- end -->')).toThrow('weather')
})

test.each(Object.entries<Setting>(settings))('%s is the name that commander gives to its flag', (name, { flag, fileFlag }) => {
  if (flag !== undefined) expect(new Option(flag).attributeName()).toBe(name)
  if (fileFlag !== undefined) expect(new Option(fileFlag).attributeName()).toBe(`${name}File`)
})

test('a password has no flag', () => {
  const without = Object.values<Setting>(settings).filter(({ flag }) => flag === undefined)
  expect(without.map(({ env, secret }) => secret && env)).toEqual([
    'KAFKA_SSL_KEY_PASSPHRASE',
    'KAFKA_SASL_PASSWORD',
    'OUTBOX_HTTP_LOGIN',
  ])
})

test('the comments of RelayOptions name the defaults and ranges that are declared', () => {
  const source = ts.createSourceFile('options.ts', pageOf('src/relay/options.ts'), ts.ScriptTarget.ES2023, true)
  const options = source.statements.find((node) => ts.isInterfaceDeclaration(node) && node.name.text === 'RelayOptions')
  const members = (options as ts.InterfaceDeclaration).members
  const told = members.map((member) => {
    const comment = member.getFullText().replace(/\s*\n\s*\*(?!\/)\s?/g, ' ')
    const range = /([\d,]+ to [\d,]+ \w+)\./.exec(comment)?.[1]
    const text = /@default (.*?)\s*\*\//.exec(comment)?.[1]?.replaceAll(/[`']/g, '')
    return [member.name!.getText(), { range, text }] as const
  })
  expect(told.map(([name]) => name)).toEqual(Object.keys(relayOptions))
  const declared = Object.entries<Setting>(relayOptions).map(([name, setting]) => {
    const range = /^\d/.test(setting.values.range) ? setting.values.range : undefined
    return [name, { range, text: defaultText(setting)?.replaceAll('`', '') }]
  })
  expect(told).toEqual(declared)
})
