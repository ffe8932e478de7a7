import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { usage } from '../../demo/options.ts'
import { doctorCommand } from '../../src/cli/doctor.ts'
import { exitCodes } from '../../src/cli/exit-codes.ts'
import { healthcheckCommand } from '../../src/cli/healthcheck.ts'
import { inboxCommand } from '../../src/cli/inbox.ts'
import { initCommand } from '../../src/cli/init.ts'
import { listCommand } from '../../src/cli/list.ts'
import { proveCommand } from '../../src/cli/prove.ts'
import { relayCommand } from '../../src/cli/relay.ts'
import { discardCommand, redriveCommand } from '../../src/cli/request.ts'
import { schemaCommand } from '../../src/cli/schema.ts'
import { databaseSettings, relaySettings as relayFlags, type Setting } from '../../src/cli/settings.ts'
import { showCommand } from '../../src/cli/show.ts'
import { statusCommand } from '../../src/cli/status.ts'
import { whereCommand } from '../../src/cli/where.ts'
import { outboxDefaults, resolveOptions } from '../../src/enqueue/options.ts'
import { errorCodes } from '../../src/message/errors.ts'
import { relayDefaults, relaySettings } from '../../src/relay/options.ts'
import { kafkaTransportDefaults } from '../../src/transport/kafka-transport.ts'
import { allFaults } from '../history/faults.ts'
import { checkNames } from '../history/judge.ts'
import { usage as tortureUsage } from '../history/options.ts'
import { codeBlocks, pageOf, readme, section, tables } from '../support/readme.ts'

const root = new URL('../../', import.meta.url)
const file = (path: string) => readFileSync(fileURLToPath(new URL(path, root)), 'utf8')
const sorted = (names: Iterable<string>) => [...names].sort()
const cliPage = pageOf('docs/reference/cli.md')
const code = (cell: string) => /^`([^`]*)`/.exec(cell)?.[1] ?? cell

test('the fragment on the page of the tables is the shipped file, word for word', () => {
  const [fragment] = codeBlocks(pageOf('docs/reference/tables.md'))
  expect(fragment).toEqual({ language: 'prisma', code: file('prisma/outbox.prisma'), path: undefined })
})

describe('the README is read in a minute', () => {
  /** Sentences outside of code, tables and headings. */
  const sentences = readme
    .replace(/^```[\s\S]*?^```$/gm, '')
    .replace(/^[|#!].*$/gm, '')
    .replace(/\]\([^)]*\)/g, ']')
    .split(/\n\s*\n|\n(?=- )|(?<=[.!?]\S?)\s+(?=[A-Z`*[])/)
    .map((text) => text.split(/\s+/).filter((word) => /\w/.test(word)).length)
    .filter((words) => words > 1)
    .sort((a, b) => a - b)

  test('of 250 lines at most, and far below the size at which npm cuts it', () => {
    expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(250)
    expect(readme.length).toBeLessThan(32_768)
  })

  test('in sentences of 18 words on average, nine of ten with 25 or fewer', () => {
    expect(sentences.length).toBeGreaterThan(40)
    expect(sentences.reduce((sum, words) => sum + words, 0) / sentences.length).toBeLessThanOrEqual(18)
    expect(sentences[Math.floor(sentences.length * 0.9)]).toBeLessThanOrEqual(25)
  })
})

describe('errors', () => {
  const rows = tables(pageOf('docs/reference/errors.md'))[0]!
  const listed = rows.map(([cell]) => /^<a id="([^"]+)"><\/a>`OUTBOX_(\w+)`$/.exec(cell!)!.slice(1, 3))

  test('every code has a row under its own anchor, and every row a code', () => {
    expect(listed.map(([anchor, name]) => [name, anchor])).toEqual(Object.entries(errorCodes))
  })

  test('every row says what it means and what to do', () => {
    for (const row of rows) for (const cell of row) expect(cell).not.toBe('')
    expect(rows[0]).toHaveLength(3)
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

  test('of the relay: exactly those that createRelay() takes, with their defaults', () => {
    const rows = tables(section('## Settings of the relay', pageOf('docs/reference/configuration.md')))[0]!
    expect(sorted(rows.map(([option]) => code(option!)))).toEqual(sorted(Object.keys(relaySettings({}))))
    const fixed: Record<string, string | number> = relayDefaults
    for (const [option, shown] of rows) {
      const value = fixed[code(option!)]
      if (value !== undefined) expect([option, shown]).toEqual([option, `\`${inCode(value)}\``])
    }
  })

  test('of the relay: the help says the same', () => {
    const said = Object.entries(relayFlags).flatMap(([name, { what }]) => {
      const shown = /\(default: (\d+)\)$/.exec(what)?.[1]
      return shown === undefined ? [] : [[name, Number(shown)]]
    })
    expect(said.length).toBeGreaterThan(5)
    expect(relayDefaults).toMatchObject(Object.fromEntries(said))
  })

  test('of the Kafka transport: their defaults, and those that are needed', () => {
    const rows = tables(pageOf('docs/guides/embed-the-relay.md'))[0]!
    const fixed: Record<string, string | number | boolean> = kafkaTransportDefaults
    expect(rows.map(([option]) => code(option!)).filter((option) => !(option in fixed))).toEqual(['brokers', 'sasl'])
    const shown = Object.fromEntries(rows.map(([option, value]) => [code(option!), value]))
    expect(shown).toMatchObject(Object.fromEntries(Object.entries(fixed).map(([name, value]) => [name, `\`${inCode(value)}\``])))
  })

  test('of the relay: the ranges are those that are checked', () => {
    const ranges = tables(section('## Settings of the relay', pageOf('docs/reference/configuration.md')))[0]!.flatMap(
      ([option, , range]) => {
        const limits = /^([\d,]+) to ([\d,]+)$/.exec(range!)
        return limits ? [[code(option!), ...limits.slice(1).map((limit) => Number(limit.replaceAll(',', '')))] as const] : []
      },
    )
    expect(ranges.length).toBeGreaterThan(5)
    for (const [option, least, most] of ranges) {
      // A lease that fits, so that only the option itself can be refused.
      const take = (value: number) => relaySettings({ [option]: value })
      expect(() => [take(least!), take(most!)]).not.toThrow()
      expect(() => take(least! - 1)).toThrow(option)
      expect(() => take(most! + 1)).toThrow(option)
    }
  })
})

describe('the command line', () => {
  const [commands, database, kafka, relay, init, operator, deadLettered, schema, exits] = tables(cliPage) as [
    string[][],
    string[][],
    string[][],
    string[][],
    string[][],
    string[][],
    string[][],
    string[][],
    string[][],
  ]
  const all = [
    initCommand(),
    relayCommand(),
    statusCommand(),
    listCommand(),
    showCommand(),
    whereCommand(),
    doctorCommand(),
    redriveCommand(),
    discardCommand(),
    inboxCommand(),
    proveCommand(),
    schemaCommand(),
    healthcheckCommand(),
  ]
  /** Flags as the help shows them, with the variable that stands behind each. */
  const flags = (name: string) => {
    const options = all.find((command) => command.name() === name)!.options
    return sorted(options.map((option) => `${option.flags} ${/\[(\w+)\]$/.exec(option.description)?.[1] ?? ''}`.trim()))
  }
  const rowFlags = (rows: string[][]) => rows.map(([flag, env]) => `${code(flag!)} ${code(env!)}`.trim())

  const withFlag = (rows: string[][]) => rowFlags(rows).filter((row) => row.startsWith('--'))
  const kafkaFlags = withFlag(kafka)

  test('every command is listed', () => {
    const names = commands.map(([command]) => code(command!).split(' ')[0]!)
    expect(names).toEqual(all.map((command) => command.name()))
    expect(names).toEqual([...file('src/cli/main.ts').matchAll(/^ {4}(\w+)Command\(\),$/gm)].map(([, name]) => name))
  })

  test('relay has exactly the flags and variables that are listed', () => {
    const kebab = (option: string) => option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    const settings = Object.keys(relaySettings({})).map((option) => {
      const flag = all[1]!.options.find((one) => one.long === `--${kebab(option)}`)!.flags
      return `${flag} OUTBOX_${kebab(option).replaceAll('-', '_').toUpperCase()}`
    })
    const listed = [...rowFlags(database), ...settings, ...kafkaFlags, ...withFlag(relay)]
    expect(sorted(listed)).toEqual(flags('relay'))
  })

  test('passwords have a variable and no flag', () => {
    const passwords = rowFlags([...kafka, ...relay]).filter((row) => !row.startsWith('--'))
    expect(passwords).toEqual(['KAFKA_SSL_KEY_PASSPHRASE', 'KAFKA_SASL_PASSWORD', 'OUTBOX_HTTP_LOGIN'])
    for (const name of passwords) expect(file('src/cli/settings.ts')).toContain(`{ flag: '', env: '${name}'`)
  })

  test('every secret that may stand in a file is on the page, and no other', () => {
    const secrets = [...Object.values(databaseSettings), ...Object.values(relayFlags)] as Setting[]
    const listed = section('## Secrets from files', pageOf('docs/guides/kafka-auth.md'))
    const named = [...listed.matchAll(/`([A-Z]\w*[A-Z])`/g)].map(([, name]) => name)
    // The login of the pages has a setting of its own for its file.
    expect(sorted(named as string[])).toEqual(
      sorted([...secrets.filter(({ secret }) => secret).map(({ env }) => env), 'OUTBOX_HTTP_LOGIN']),
    )
  })

  test('healthcheck has exactly the flags that are named', () => {
    const words = cliPage.split('\n').find((line) => line.startsWith('`healthcheck` takes'))
    expect(flags('healthcheck')).toEqual(['--listen <address> OUTBOX_LISTEN', '--ready'])
    for (const flag of flags('healthcheck')) expect(words).toContain(`\`${flag.replace(/ OUTBOX.*/, '')}\``)
  })

  test('init has exactly the flags that are listed', () => {
    expect(sorted(init.map(([flag]) => code(flag!)))).toEqual(flags('init'))
  })

  test.each(['status', 'list', 'show', 'redrive', 'discard'])('%s has exactly the flags that are listed', (name) => {
    const own = operator.flatMap(([flag, of]) => (of!.includes(`\`${name}\``) ? [code(flag!)] : []))
    expect(sorted([...own, ...rowFlags(database)])).toEqual(flags(name))
  })

  test('where has exactly the flags that are listed, and those that say where Kafka is', () => {
    const own = operator.flatMap(([flag, of]) => (of!.includes('`where`') ? [code(flag!)] : []))
    expect(sorted([...own, ...rowFlags(database), ...kafkaFlags])).toEqual(flags('where'))
  })

  test('doctor has exactly the flags that are named', () => {
    const words = /^`doctor` takes[^.]*\./m.exec(cliPage)![0]
    const own = [...words.matchAll(/`(--[^`]+)`/g)].map(([, flag]) => flag!)
    expect(sorted([...own, ...rowFlags(database), ...kafkaFlags])).toEqual(flags('doctor'))
  })

  test('dead-lettered has exactly the flags that are listed', () => {
    expect(sorted([...deadLettered.map(([flag]) => code(flag!)), ...rowFlags(database)])).toEqual(flags('inbox'))
  })

  test('schema has exactly the flags that are listed', () => {
    expect(sorted(schema.map(([flag]) => code(flag!)))).toEqual(flags('schema'))
  })

  test('prove has exactly the flags that are listed', () => {
    const text = pageOf('docs/guides/prove.md')
    const shared = [...text.slice(text.lastIndexOf('|')).matchAll(/`(--[\w-]+)`/g)].map(([, flag]) => flag!)
    const own = tables(text)[0]!.map(([flag]) => code(flag!))
    expect(sorted([...own, ...kafkaFlags].map((flag) => flag.split(' ')[0]!).concat(shared))).toEqual(
      flags('prove').map((flag) => flag.split(' ')[0]),
    )
  })

  test('every exit code is listed', () => {
    const listed = exits.flatMap(([codes]) => codes!.match(/\d+/g)!.map(Number))
    expect(listed).toEqual(Object.values(exitCodes))
  })
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
  const lines = told.split('\n').filter((line) => line.startsWith('- [ci] '))
  const named = lines.map((line) => /^- \[ci\] `(test\/[^`]+)` “([^”]+)”$/.exec(line)?.slice(1, 3) ?? [line, ''])

  test('G1 to G8 are there, word for word in both places, and each but the one that is not there yet names tests', () => {
    expect(rows.map(([name]) => name!.slice(1, 3))).toEqual(['G1', 'G2', 'G3', 'G4', 'G5', 'G6', 'G7', 'G8'])
    for (const [link, promise, condition] of rows) {
      const name = link!.slice(1, 3)
      expect(link).toBe(`[${name}](docs/guarantees.md#${name.toLowerCase()})`)
      expect(of(name)).toContain(`**${promise}**`)
      if (condition !== '–') expect(of(name)).toContain(`Condition: ${condition}`)
      if (name === 'G5') expect(condition).toContain('Not there yet')
      else expect(of(name).match(/^- \[ci\]/gm)!.length).toBeGreaterThanOrEqual(2)
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
