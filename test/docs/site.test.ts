import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
const site = `${root}website/.vitepress/dist/`

// VitePress ends with an error for a link that leads nowhere, TypeDoc for an entry that does not compile.
test('npm run docs:build makes the site: every page, the search and the API', async () => {
  await run('npm', ['run', 'docs:build'], { cwd: root, timeout: 400_000, maxBuffer: 50_000_000 })
  const { stdout } = await run('git', ['ls-files', 'docs/*.md'], { cwd: root })
  const pages = stdout.trim().split('\n')
  expect(pages.length).toBeGreaterThan(30)
  const missing = pages.filter(
    (page) => !existsSync(`${site}${page.replace(/README\.md$/, 'index.md').replace(/\.md$/, '.html')}`),
  )
  expect(missing).toEqual([])
  expect(readFileSync(`${site}index.html`, 'utf8')).toContain('Transactional outbox for Prisma and PostgreSQL')
  expect(readFileSync(`${site}api/functions/index.outbox.html`, 'utf8')).toContain('outbox')
}, 400_000)

test('every page of the documentation is in the sidebar', async () => {
  const config = readFileSync(`${root}website/.vitepress/config.ts`, 'utf8')
  const { stdout } = await run('git', ['ls-files', 'docs/*.md'], { cwd: root })
  const pages = stdout
    .trim()
    .split('\n')
    .map((page) => `/${page.replace(/\.md$/, '').replace(/README$/, '')}`)
  expect(pages.filter((page) => !config.includes(`'${page}'`))).toEqual([])
})
