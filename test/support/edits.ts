import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/** A text of a source file that is replaced, to break the code on purpose. */
export interface Edit {
  /** Below src/. */
  readonly file: string
  /** Must be there exactly once: an edit that does not fit the code any more must not pass for one that changes nothing. */
  readonly from: string
  readonly to: string
}

/** The text with the edit made. Throws with `name` where the text to replace is not there exactly once. */
export function edited(text: string, { file, from, to }: Edit, name: string): string {
  const found = text.split(from).length - 1
  if (found !== 1) throw new Error(`${name}: src/${file} holds the text to replace ${found} times, not once.`)
  return text.replace(from, () => to)
}

/** Makes edits in a copy of src/. */
export async function applyEdits(sources: string, edits: readonly Edit[], name: string): Promise<void> {
  for (const edit of edits) {
    const path = join(sources, edit.file)
    await writeFile(path, edited(await readFile(path, 'utf8'), edit, name))
  }
}
