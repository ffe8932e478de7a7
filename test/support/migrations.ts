import { migration } from '../../src/cli/fragment.ts'

/** The package's own migration of the outbox, as `init` would write it. */
export const migrationSql = migration()

/** That of the inbox. */
export const inboxSql = migration({}, 'inbox')
