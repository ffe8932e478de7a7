import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { usage } from '../../demo/options.ts'
import { exitCodes } from '../../src/cli/exit-codes.ts'
import { outboxDefaults, resolveOptions } from '../../src/enqueue/options.ts'
import { kafkaTransportDefaults } from '../../src/transport/kafka-transport.ts'
import { allFaults } from '../history/faults.ts'
import { checkNames } from '../history/judge.ts'
import { usage as tortureUsage } from '../history/options.ts'
import { codeBlocks, pageOf, readme, section, tableOf, tables } from '../support/readme.ts'

const root = new URL('../../', import.meta.url)
const file = (path: string) => readFileSync(fileURLToPath(new URL(path, root)), 'utf8')
const sorted = (names: Iterable<string>) => [...names].sort()
const code = (cell: string) => /^`([^`]*)`/.exec(cell)?.[1] ?? cell

test('the fragment on the page of the tables is the shipped file, word for word', () => {
  const [fragment] = codeBlocks(pageOf('docs/reference/tables.md'))
  expect(fragment).toEqual({ language: 'prisma', code: file('prisma/outbox.prisma'), path: undefined })
})

describe('the README is read in a minute', () => {
  test('of 250 lines at most, and far below the size at which npm cuts it', () => {
    expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(250)
    expect(readme.length).toBeLessThan(32_768)
  })
})

describe('options', () => {
  test('of the application: exactly those that outbox() takes, with their defaults', () => {
    const rows = tables(pageOf('docs/reference/configuration.md'))[0]!
    expect(sorted(rows.map(([option]) => code(option!)))).toEqual(sorted(Object.keys(resolveOptions({}))))
    for (const [option, shown] of rows) {
      const value = outboxDefaults[code(option!) as keyof typeof outboxDefaults]
      if (value !== undefined) expect([option, shown]).toEqual([option, `\`${inCode(value)}\``])
    }
  })

  test('of the Kafka transport: their defaults, and those that are needed', () => {
    const rows = tableOf('option', pageOf('docs/guides/embed-the-relay.md'))
    const fixed: Record<string, string | number | boolean> = kafkaTransportDefaults
    expect(rows.map(([option]) => code(option!)).filter((option) => !(option in fixed))).toEqual(['brokers', 'sasl'])
    const shown = Object.fromEntries(rows.map(([option, value]) => [code(option!), value]))
    expect(shown).toMatchObject(Object.fromEntries(Object.entries(fixed).map(([name, value]) => [name, `\`${inCode(value)}\``])))
  })
})

test('every exit code is listed', () => {
  const listed = tableOf('code', pageOf('docs/reference/cli.md')).flatMap(([codes]) => codes!.match(/\d+/g)!.map(Number))
  expect(listed).toEqual(Object.values(exitCodes))
})

test('the options of the demo are those of its help', () => {
  const rows = tables(pageOf('docs/verification.md'))[1]!
  const help = [...usage.matchAll(/^ +(--\w+(?: <n>)?) {3}/gm)].map(([, flag]) => flag)
  expect(rows.map(([flag]) => code(flag!))).toEqual(help)
})

describe('guarantees', () => {
  const rows = tables(section('## Guarantees'))[0]!
  const told = pageOf('docs/guarantees.md')
  /** A promise's own section, with links as the README has them. */
  const of = (name: string) =>
    told
      .slice(told.indexOf(`\n## ${name}\n`))
      .split('\n## ')[1]!
      .replaceAll('](../', '](')
      .replaceAll('](guides/', '](docs/guides/')
      .replaceAll('](consumers.md', '](docs/consumers.md')
      .replaceAll('](concepts/', '](docs/concepts/')
  const lines = told.split('\n').filter((line) => line.startsWith('- [ci] '))
  const named = lines.map((line) => /^- \[ci\] `(test\/[^`]+)` “([^”]+)”$/.exec(line)?.slice(1, 3) ?? [line, ''])

  test('G1 to G8 are there, word for word in both places, and each names tests', () => {
    expect(rows.map(([name]) => name!.slice(1, 3))).toEqual(['G1', 'G2', 'G3', 'G4', 'G5', 'G6', 'G7', 'G8'])
    for (const [link, promise, condition] of rows) {
      const name = link!.slice(1, 3)
      expect(link).toBe(`[${name}](docs/guarantees.md#${name.toLowerCase()})`)
      expect(of(name)).toContain(`**${promise}**`)
      if (condition !== '–') expect(of(name)).toContain(`Condition: ${condition}`)
      expect(of(name).match(/^- \[ci\]/gm)!.length).toBeGreaterThanOrEqual(2)
    }
  })

  test.each(named)('%s has the test "%s"', (path, title) => {
    const calls = file(path!)
      .split('\n')
      .filter((line) => /^\s*test\b/.test(line))
    expect(calls.filter((line) => line.includes(title!))).toHaveLength(1)
  })

  test('every command is a script of the package, a file of tests, or the program', () => {
    const scripts = JSON.parse(file('package.json')).scripts as Record<string, string>
    const commands = [...told.matchAll(/^- \[command\] `([^`]+)`/gm)].map(([, command]) => command!)
    expect(commands.length).toBeGreaterThan(5)
    for (const command of commands) {
      const script = /npm run (\w+)/.exec(command)?.[1]
      const tests = /vitest run (\S+)/.exec(command)?.[1]
      if (script) expect(scripts).toHaveProperty(script)
      else if (tests) expect(file(tests)).not.toBe('')
      else expect(command).toContain('npx prisma-extension-outbox')
    }
  })
})

test('every file of the repository that a page names is there', () => {
  const pages = [
    readme,
    ...readdirSync(fileURLToPath(new URL('docs', root)), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md'))
      .map((name) => pageOf(`docs/${name}`)),
  ]
  const ofExamples = new Set(pages.flatMap((page) => codeBlocks(page).map(({ path }) => path)))
  const named = pages.flatMap((page) =>
    [...page.matchAll(/`((?:src|test|ops|docs|prisma|examples|demo)\/[\w./-]+\.\w+)`/g)].map(([, name]) => name!),
  )
  expect(named.length).toBeGreaterThan(50)
  const own = named.filter((name) => !name.startsWith('prisma/schema') && !ofExamples.has(name))
  for (const name of new Set(own)) expect(() => file(name)).not.toThrow()
})

test('the map of CONTRIBUTING.md has every folder of the sources, and its commands are scripts', () => {
  const page = file('CONTRIBUTING.md')
  const folders = readdirSync(fileURLToPath(new URL('src', root)), { withFileTypes: true }).filter((entry) => entry.isDirectory())
  const named = [...page.matchAll(/^\|(?: \d \|)? `([a-z-]+)` \|/gm)].map(([, name]) => name)
  expect(named.sort()).toEqual(folders.map(({ name }) => name).sort())
  const { scripts } = JSON.parse(file('package.json')) as { scripts: Record<string, string> }
  for (const [, script] of page.matchAll(/npm run ([\w:-]+)/g)) expect(scripts).toHaveProperty(script!)
})

function inCode(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value)
}

describe('torture', () => {
  const [options, checks, faults] = tables(section('## Torture', pageOf('docs/verification.md')))

  test('options: exactly those that the command takes', () => {
    expect(sorted(options!.map(([option]) => /^`(--[a-z]+)/.exec(option!)![1]!))).toEqual(
      sorted(new Set(tortureUsage.match(/--[a-z]+/g))),
    )
  })

  test('checks and faults: exactly those that there are, the faults in their own words', () => {
    expect(checks!.map(([name]) => name)).toEqual(checkNames)
    expect(faults!.map(([name, what]) => [code(name!), what])).toEqual(allFaults.map(({ name, what }) => [name, what]))
  })
})
