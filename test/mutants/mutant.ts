import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Way } from '../../src/proof/writers.ts'
import type { RelayPorts } from '../../src/relay/relay.ts'

/** A text of a source file that is replaced, to break the code on purpose. */
export interface Edit {
  /** Below src/. */
  readonly file: string
  /** Must be there exactly once: an edit that does not fit the code any more must not pass for one that changes nothing. */
  readonly from: string
  readonly to: string
}

/** A relay, an application or a consumer that is broken on purpose: an oracle must find out. */
export interface Mutant {
  /** One sentence: what is wrong with it. */
  readonly what: string
  /** The rule of docs/protocol.md that it lacks a part of; without, it is broken in a way in which a published outbox was. */
  readonly rule?: number
  /** Made in a copy of src/, from which it is then run. */
  readonly edits?: Edit | readonly Edit[]
  /** Changes to the tables. */
  readonly sql?: string
  /** It is one of the exactly-once mode. @default what its rule says */
  readonly exactlyOnce?: boolean
  /** Replaces ports, below the trace: the trace tells what the relay was told. */
  readonly ports?: (ports: RelayPorts) => RelayPorts
  /** Replaces a way in which the application writes. */
  readonly way?: (real: Way, databaseUrl: string) => Way
  /** Tests that must notice; without, it has none of its own. */
  readonly tests?: Tests
  /** Names of the faults under which a torture brings it to light; without, a torture cannot show it. */
  readonly faults?: readonly string[]
}

/** Tests of one file. */
export interface Tests {
  /** Below test/. */
  readonly file: string
  /** Part of their names. */
  readonly tests: string
}

/** A part of one of the rules that keep the promises, how it is taken out, and the tests that must notice. */
export interface RulePart extends Tests {
  /** Its number in docs/protocol.md. */
  readonly rule: number
  /** What the code does without it. */
  readonly without: string
  readonly edits: Edit | readonly Edit[]
}

/** What is asked whether it notices a mutant. */
export interface Oracle {
  /** Whether it can be asked about this mutant. */
  canShow(mutant: Mutant): boolean
  /** Whether a mutant that it does not notice is a hole in it. */
  mustShow(mutant: Mutant): boolean
  /** `by`: what noticed the mutant; undefined: nothing. `remark`: what else there is to say of it. */
  ask(name: string, mutant: Mutant): Promise<{ by: string | undefined; remark?: string }>
  close(): Promise<void>
}

/** The repository. */
export const root: string = fileURLToPath(new URL('../..', import.meta.url))

/** The edits of a mutant, in their order. */
export const editsOf = ({ edits = [] }: Pick<Mutant, 'edits'>): readonly Edit[] => [edits].flat()

/** The text with the edit made. Throws with `name` if the text to replace is not there exactly once. */
export function edited(text: string, { file, from, to }: Edit, name: string): string {
  const found = text.split(from).length - 1
  if (found !== 1) throw new Error(`${name}: src/${file} holds the text to replace ${found} times, not once.`)
  return text.replace(from, () => to)
}

/** Copies these folders and files of the repository, src/ with the edits of a mutant, and returns the new folder: it never touches the real one. */
export async function mutatedCopy(name: string, mutant: Mutant, parts: readonly string[]): Promise<string> {
  const copy = join(root, '.cache', 'mutants', `${name}.${process.pid}`)
  await rm(copy, { recursive: true, force: true })
  await mkdir(copy, { recursive: true })
  const exactly = { recursive: true, preserveTimestamps: true, verbatimSymlinks: true }
  for (const part of parts) await cp(join(root, part), join(copy, part), exactly)
  for (const edit of editsOf(mutant)) {
    const path = join(copy, 'src', edit.file)
    await writeFile(path, edited(await readFile(path, 'utf8'), edit, `mutant ${name}`))
  }
  return copy
}

/** The sources of a mutant. They read their version from package.json. */
export const mutatedSources = async (name: string, mutant: Mutant): Promise<string> =>
  join(await mutatedCopy(name, mutant, ['src', 'package.json']), 'src')
