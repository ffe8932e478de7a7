import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
const home = mkdtempSync(join(tmpdir(), 'outbox-tarball-'))

/** Pages for contributors: they name files of the repository all the time. */
const ofContributors =
  /^(docs\/(guarantees|evidence|protocol|protocol-application|protocol-exactly-once|verification|design-decisions)|SECURITY|CONTRIBUTING)\.md$/

let files: Set<string>
let pages: string[]

beforeAll(async () => {
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', home], { cwd: root })
  await run('tar', ['-xzf', join(home, JSON.parse(stdout)[0].filename), '-C', home])
  files = new Set((JSON.parse(stdout)[0].files as { path: string }[]).map(({ path }) => path))
  pages = [...files].filter((path) => path.endsWith('.md'))
}, 60_000)
afterAll(() => rmSync(home, { recursive: true, force: true }))

const read = (path: string) => readFileSync(join(home, 'package', path), 'utf8')
const textOf = (page: string) => read(page).replace(/^```[\s\S]*?^```$/gm, '')

describe('a page of the tarball', () => {
  test('links to files of the tarball, or to an address', () => {
    const links = pages.flatMap((page) =>
      [...textOf(page).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => ({ page, link: link! })),
    )
    const relative = links.filter(({ link }) => !/^(https?:|#)/.test(link))
    expect(relative.length).toBeGreaterThan(100)
    expect(relative.filter(({ page, link }) => !files.has(normalize(join(dirname(page), link.split('#')[0]!))))).toEqual([])
  })

  test('names no file of the repository that the reader does not have, unless it links to it', () => {
    const named = pages
      .filter((page) => !ofContributors.test(page))
      .flatMap((page) =>
        [...textOf(page).matchAll(/(\[)?`((?:bench|examples|ops|test)\/[\w./-]+)`/g)].map((found) => [page, ...found]),
      )
    expect(named.map(([, , , path]) => path)).toContain('ops/alerts.yml')
    const isShipped = (path: string) => files.has(path) || [...files].some((file) => file.startsWith(`${path}/`))
    expect(named.filter(([, , linked, path]) => !linked && !isShipped(path!))).toEqual([])
  })
})

test('every source map holds its sources, which are not shipped', () => {
  const maps = [...files].filter((path) => path.endsWith('.map'))
  expect(maps).toContain('dist/index.js.map')
  const hollow = maps.filter((path) => {
    const { sources, sourcesContent = [] } = JSON.parse(read(path)) as { sources: string[]; sourcesContent?: unknown[] }
    return sources.length === 0 || sources.some((_, i) => typeof sourcesContent[i] !== 'string')
  })
  expect(hollow).toEqual([])
})
