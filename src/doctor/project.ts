import { failure, ok, unseen, type Verdict, warning } from './verdict.ts'

const upgrade = 'npm install prisma@7 @prisma/client@7 @prisma/adapter-pg@7'

/** Judges the version of @prisma/orm-postgres that a project of Prisma 8 has; undefined: none was found. */
export function judgePrisma8(version: string | undefined): Verdict {
  const why = 'The wrapper is tested from 8.0.0-rc.8 on.'
  if (version === undefined) {
    const fix = 'Run doctor in the folder of the application, with its packages installed.'
    return unseen('prisma', 'There is no @prisma/orm-postgres in this folder.', why, fix)
  }
  const [, major, candidate] = /^(\d+)\.\d+\.\d+(?:-rc\.(\d+))?/.exec(version) ?? []
  const finding = `@prisma/orm-postgres ${version}.`
  if (major === '8' && Number(candidate ?? Infinity) >= 8) return ok('prisma', finding)
  return failure('prisma', finding, why, 'npm install @prisma/orm-postgres@8.0.0-rc.13')
}

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
