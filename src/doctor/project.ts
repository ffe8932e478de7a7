import { failure, ok, unseen, type Verdict, warning } from './verdict.ts'

const upgrade = 'npm install prisma@7 @prisma/client@7 @prisma/adapter-pg@7'

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
  if (major === 7 && minor === 4) {
    const why =
      'Of the indexes that a migration made and no model knows, prisma migrate dev of 7.4 drops the partial ones; the outbox has none.'
    return warning('prisma', `@prisma/client ${version}.`, why, upgrade)
  }
  if (major > 6 || (major === 6 && minor >= 16))
    return ok('prisma', `@prisma/client ${version}; what a running application has loaded cannot be seen.`)
  return failure('prisma', `@prisma/client ${version}.`, 'The extension needs 6.16 or newer.', upgrade)
}
