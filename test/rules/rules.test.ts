import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { edited } from '../support/edits.ts'
import { takenOut } from './rules.ts'

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

test('each of the twenty rules can be taken out', () => {
  const rules = new Set(takenOut.map(({ rule }) => rule))
  expect([...rules].filter((rule) => rule !== 'inbox').sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
})

test.each(takenOut)(
  'rule $rule: the code still has what is taken out, and the test that must notice is there ($without)',
  (one) => {
    const { rule, edits, file, tests } = one
    const texts = new Map<string, string>()
    for (const edit of edits)
      texts.set(edit.file, edited(texts.get(edit.file) ?? source(`src/${edit.file}`), edit, `rule ${rule}`))
    expect(testsIn(file)).toContain(tests)
  },
)
