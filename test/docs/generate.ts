// `npm run docs`: writes the generated pages.

import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { pages } from './pages.ts'

for (const { path, render } of pages) {
  const file = fileURLToPath(new URL(`../../${path}`, import.meta.url))
  const text = readFileSync(file, 'utf8')
  const rendered = render(text)
  if (rendered === text) continue
  writeFileSync(file, rendered)
  console.log(`wrote ${path}`)
}
