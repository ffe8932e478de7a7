import { failure, ok, unseen, type Verdict } from './verdict.ts'

/** Judges the version of @prisma/client that a project has; undefined: none was found. */
export function judgePrisma(version: string | undefined): Verdict {
  const [major = 0, minor = 0] = (version ?? '').split('.').map(Number)
  if (version === undefined) {
    const why = 'The extension needs 6.16 or newer. A command cannot see what a running application has loaded.'
    return unseen(
      'prisma',
      'There is no @prisma/client beside this command.',
      why,
      'Run doctor in the folder of the application.',
    )
  }
  if (major > 6 || (major === 6 && minor >= 16))
    return ok('prisma', `@prisma/client ${version}; what a running application has loaded cannot be seen.`)
  const fix = 'npm install prisma@latest @prisma/client@latest'
  return failure('prisma', `@prisma/client ${version}.`, 'The extension needs 6.16 or newer.', fix)
}
