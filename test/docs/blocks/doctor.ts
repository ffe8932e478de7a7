import { declared } from '../doc-comments.ts'
import { code, table } from '../markdown.ts'

const levels = ['failure', 'warning', 'unseen'] as const

/** Every check, with when it comes to which level. */
export function checkTable(): string {
  const rows = declared('doctor/checks.ts', 'Checks').map(({ name, text, tags, type }) => {
    const told = levels.filter((level) => tags[level] !== undefined)
    const typed = levels.filter((level) => type.includes(`'${level}'`))
    if (text === '' || told.join() !== typed.join()) throw new Error(`The comment of the check ${name} does not have its levels.`)
    if (typed.length > 0 && !tags.remedy) throw new Error(`The check ${name} has no remedy.`)
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the source has it so.
    const shown = name.replace('${string}', '<name>')
    return [code(shown), text, told.map((level) => `**${level}**: ${tags[level]}`).join(' '), tags.remedy ?? '']
  })
  return table(['check', 'question', 'verdicts', 'remedy'], rows)
}
