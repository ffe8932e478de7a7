import { cp, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Way } from '../../src/proof/writers.ts'
import type { RelayPorts } from '../../src/relay/relay.ts'
import { applyEdits, type Edit } from '../support/edits.ts'

/** A relay that is broken on purpose: the checker must find out. */
export interface Mutant {
  /** One sentence: what is wrong with it. */
  readonly what: string
  /** Names of the faults that bring it to light. */
  readonly faults: readonly string[]
  /** Changes to the tables. */
  readonly sql?: string
  /** Made in a copy of src/, from which the relay is then run. */
  readonly edits?: readonly Edit[]
  /** Replaces ports, below the trace: the trace tells what the relay was told. */
  readonly ports?: (ports: RelayPorts) => RelayPorts
  /** Replaces a way in which the application writes. */
  readonly way?: (real: Way, databaseUrl: string) => Way
}

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Copies src/ with the mutant's edits and gives the folder: a relay that is run from it never touches the real one. */
export async function mutatedSources(name: string, { edits = [] }: Mutant): Promise<string> {
  const copy = join(root, '.cache', 'mutants', `${name}.${process.pid}`, 'src')
  await rm(copy, { recursive: true, force: true })
  await mkdir(copy, { recursive: true })
  await cp(join(root, 'src'), copy, { recursive: true })
  // The sources read their version from it.
  await cp(join(root, 'package.json'), join(copy, '..', 'package.json'))
  await applyEdits(copy, edits, `mutant ${name}`)
  return copy
}
