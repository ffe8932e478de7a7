import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { RelayPorts } from '../../src/relay/relay.ts'

/** A relay that is broken on purpose: the checker must find out. */
export interface Mutant {
  /** One sentence: what is wrong with it. */
  readonly what: string
  /** Texts of files below src/ that are replaced in a copy, from which the relay is then run. Each must be there exactly once. */
  readonly edits?: readonly { readonly file: string; readonly from: string; readonly to: string }[]
  /** Replaces ports, below the trace: the trace tells what the relay was told. */
  readonly ports?: (ports: RelayPorts) => RelayPorts
}

const here = fileURLToPath(new URL('.', import.meta.url))
const root = join(here, '..', '..')

/** The mutant of that name: `test/history/mutants/<name>.ts` exports it as `mutant`. */
export async function loadMutant(name: string): Promise<Mutant> {
  if (!/^[a-z0-9-]+$/.test(name) || !existsSync(join(here, 'mutants', `${name}.ts`))) {
    throw new Error(`There is no mutant ${name} in test/history/mutants.`)
  }
  const { mutant } = (await import(new URL(`./mutants/${name}.ts`, import.meta.url).href)) as { mutant: Mutant }
  return mutant
}

/** Copies src/ with the mutant's edits and gives the folder: a relay that is run from it never touches the real one. */
export async function mutatedSources(name: string, { edits = [] }: Mutant): Promise<string> {
  const copy = join(root, '.cache', 'mutants', `${name}.${process.pid}`, 'src')
  await rm(copy, { recursive: true, force: true })
  await mkdir(copy, { recursive: true })
  await cp(join(root, 'src'), copy, { recursive: true })
  for (const { file, from, to } of edits) {
    const path = join(copy, file)
    const text = await readFile(path, 'utf8')
    const found = text.split(from).length - 1
    if (found !== 1) throw new Error(`Mutant ${name}: src/${file} holds the text to replace ${found} times, not once.`)
    await writeFile(
      path,
      text.replace(from, () => to),
    )
  }
  return copy
}
