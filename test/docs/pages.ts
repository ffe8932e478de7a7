// The pages that `npm run docs` writes from the code. A page keeps its prose; what stands between `<!-- generated: name -->` and
// `<!-- end -->` is the block of that name.

import { compatibilityTable } from './blocks/compatibility.ts'
import { checkTable } from './blocks/doctor.ts'
import { errorTable } from './blocks/errors.ts'
import { eventSections } from './blocks/events.ts'
import { majorsTable } from './blocks/majors.ts'
import { metricsTable } from './blocks/metrics.ts'
import { commandTable, flagTable, secretList, settingsTable } from './blocks/settings.ts'

/** A page below the root of the repository. */
export interface Page {
  path: string
  /** The page as it has to be, from the page as it is. */
  render(text: string): string
}

/** Every page that has a generated block. */
export const pages: readonly Page[] = [
  'docs/reference/configuration.md',
  'docs/reference/cli.md',
  'docs/reference/errors.md',
  'docs/reference/metrics.md',
  'docs/reference/events.md',
  'docs/reference/doctor.md',
  'docs/reference/compatibility.md',
  'docs/guides/kafka-auth.md',
  'docs/guides/prove.md',
].map((path) => ({ path, render: fill }))

/** Blocks by name; a name has the kind of the block in front, and then what it is about. */
const blocks: Record<string, (about: string) => string> = {
  settings: settingsTable,
  secrets: secretList,
  commands: commandTable,
  flags: flagTable,
  errors: errorTable,
  metrics: metricsTable,
  events: eventSections,
  checks: checkTable,
  compatibility: compatibilityTable,
  majors: majorsTable,
}

/** Fills every marked block of a page. */
function fill(text: string): string {
  return text.replace(/(<!-- generated: (\w+) ?(\w*) -->\n)[\s\S]*?(?=\n<!-- end -->)/g, (_, mark, kind, about) => {
    const block = blocks[kind]
    if (!block) throw new Error(`There is no block ${kind}.`)
    return `${mark}\n${block(about)}\n`
  })
}
