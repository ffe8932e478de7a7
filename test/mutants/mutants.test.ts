import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { namedFaults } from '../history/faults.ts'
import { mutants } from './list.ts'
import { edited, editsOf } from './mutant.ts'

const place = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const source = (path: string) => readFileSync(place(path), 'utf8')

/** What stands in a file of tests. Those of the extension are called from the file that names the client. */
function testsIn(file: string): string {
  if (!file.startsWith('enqueue/prisma')) return source(`test/${file}`)
  const folder = 'test/enqueue/behaviour'
  return readdirSync(place(folder))
    .map((name) => source(`${folder}/${name}`))
    .join('\n')
}

const rulePages = ['docs/protocol.md', 'docs/protocol-application.md', 'docs/protocol-exactly-once.md'].map(source).join('\n## ')
/** The rules of both pages of the protocol, by number. */
const written = new Map(
  rulePages
    .split(/^### (?=\d+\. )/m)
    .slice(1)
    .map((text) => [Number.parseInt(text, 10), text.split(/^## /m)[0]!]),
)
/** The paths after `Kept by:` or `Tests:`. */
const pathsIn = (rule: string, line: string) =>
  [...(new RegExp(`^${line}: (.*)$`, 'm').exec(rule)?.[1] ?? '').matchAll(/`([^`]+)`/g)].map(([, path]) => path!)

test('each rule of the protocol can be taken out, and each that is taken out stands there', () => {
  const rules = new Set(Object.values(mutants).flatMap(({ rule }) => rule ?? []))
  expect([...rules].sort((a, b) => a - b)).toEqual([...written.keys()].sort((a, b) => a - b))
})

test.each([...written])('rule %d of the protocol names the files that keep it and its tests', (_, text) => {
  for (const line of ['Kept by', 'Tests']) {
    const paths = pathsIn(text, line)
    expect(paths).not.toEqual([])
    for (const path of paths) expect(existsSync(place(path)), path).toBe(true)
  }
})

/** Numbers after `rule` or `rules` in a text: `rules 7, 8 and 10`, `rules 7 to 10`. */
function cited(text: string): Set<number> {
  const found = new Set<number>()
  for (const [, list] of text.matchAll(/[Rr]ules? ((?:\d+(?:, | and | to )?)+)/g)) {
    const numbers = [...list!.matchAll(/\d+/g)].map(Number)
    const [from, to] = numbers
    if (list!.includes(' to ')) for (let n = from!; n <= to!; n++) found.add(n)
    else for (const n of numbers) found.add(n)
  }
  return found
}

test.each([...written])('the files that keep rule %d cite it', (rule, text) => {
  const silent = pathsIn(text, 'Kept by').filter((path) => path.endsWith('.ts') && !cited(source(path)).has(rule))
  expect(silent).toEqual([])
})

const known = namedFaults.map(({ name }) => name)

// They are run by hand, and take long: one that the code has moved away from must show at once.
test.each(Object.entries(mutants))(
  'mutant %s: the code still has what it breaks, and what must notice is there',
  (name, mutant) => {
    const { tests, faults = [] } = mutant
    const texts = new Map<string, string>()
    for (const edit of editsOf(mutant))
      texts.set(edit.file, edited(texts.get(edit.file) ?? source(`src/${edit.file}`), edit, `mutant ${name}`))
    if (tests) expect(testsIn(tests.file)).toContain(tests.tests)
    expect(known).toEqual(expect.arrayContaining([...faults]))
    expect(tests ?? mutant.faults).toBeDefined()
  },
)
