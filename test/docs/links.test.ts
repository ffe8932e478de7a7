import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { docsUrl } from '../../src/message/errors.ts'
import { questions } from './questions.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))

/** The pages of the repository: those beside the package, and those below the folders that have some. */
const pages = ['.', 'docs', 'bench', 'demo', 'examples/orders', 'examples/quickstart', 'examples/consumer'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: folder !== '.', encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => normalize(join(folder, name))),
)

const repository = docsUrl.replace(/docs$/, '')

/** A page without its blocks of code. */
const textOf = (page: string) => readFileSync(join(root, page), 'utf8').replace(/^```[\s\S]*?^```$/gm, '')

/** What a link to a part of the page may name: its headings, as GitHub names them, and its anchors. */
function partsOf(page: string): Set<string> {
  const text = textOf(page)
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  )
  return new Set([...headings, ...[...text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id!)])
}

/** Whether a link leads to a file that is there, and to a part of it that is there. */
function leadsSomewhere(page: string, link: string): boolean {
  const [path, part] = link.split('#')
  const target = path === '' ? page : normalize(join(dirname(page), path!))
  if (!existsSync(join(root, target))) return false
  return part === undefined || !target.endsWith('.md') || partsOf(target).has(part)
}

test.each(pages)('every link of %s leads to a file, a heading or an anchor that is there', (page) => {
  const links = [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!)
  const relative = links.filter((link) => !/^https?:/.test(link))
  expect(relative.filter((link) => !leadsSomewhere(page, link))).toEqual([])
  // What the package does not ship is linked to by its address.
  const absolute = links.filter((link) => link.startsWith(repository)).map((link) => link.slice(repository.length))
  expect(absolute.filter((link) => !leadsSomewhere('.', link))).toEqual([])
})

test('every page under docs/ can be reached from the README', () => {
  const linked = (page: string) =>
    [...textOf(page).matchAll(/\]\(([^)#\s]+)/g)].map(([, path]) => normalize(join(dirname(page), path!)))
  const reached = new Set(['README.md'])
  for (const page of reached) if (pages.includes(page)) for (const next of linked(page)) reached.add(next)
  expect(pages.filter((page) => page.startsWith('docs/') && !reached.has(page))).toEqual([])
  expect(pages).toEqual(expect.arrayContaining(['README.md', 'docs/guarantees.md', 'CHANGELOG.md', 'docs/operating.md']))
})

test.each(questions)('the index answers "$ask" in two clicks', ({ page, heading }) => {
  const index = [...textOf('docs/README.md').matchAll(/\]\(([^)\s#]+)/g)].map(([, path]) => normalize(join('docs', path!)))
  expect(index).toContain(page)
  expect(
    textOf(page)
      .split('\n')
      .map((line) => line.replace(/^#+ /, '')),
  ).toContain(heading)
})

test('every page says whom it is for, and what to read next', () => {
  const own = pages.filter((page) => page.startsWith('docs/') && page !== 'docs/README.md')
  const first = (page: string) =>
    textOf(page)
      .split('\n')
      .slice(1)
      .find((line) => line.trim() !== '')!
  expect(own.filter((page) => !/^For /.test(first(page)))).toEqual([])
  expect(own.filter((page) => !/^(?:## Next$|Next: )/m.test(textOf(page)))).toEqual([])
})
