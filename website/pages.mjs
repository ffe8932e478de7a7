// Copies the pages of the repository beside VitePress, which searches for Vue from where they are, and Mermaid beside the built site.
import { cpSync, mkdirSync, rmSync } from 'node:fs'

const here = (path) => new URL(path, import.meta.url)

rmSync(here('pages/'), { recursive: true, force: true })
for (const page of ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'ROADMAP.md', 'SECURITY.md'])
  cpSync(here(`../${page}`), here(`pages/${page}`))
cpSync(here('../docs/'), here('pages/docs/'), { recursive: true })
mkdirSync(here('pages/public/'), { recursive: true })
cpSync(here('node_modules/mermaid/dist/mermaid.min.js'), here('pages/public/mermaid.min.js'))
