import { version } from '../version.ts'
import { contractSpace } from './contract-space.ts'

// The tables as an extension of Prisma 8: plain objects of the shape that its command line and its client read. Nothing of Prisma is imported.

const own = { kind: 'extension', id: 'outbox', familyId: 'sql', targetId: 'postgres', version } as const
const create = () => ({ familyId: 'sql' as const, targetId: 'postgres' as const })

/**
 * For `prisma.config.ts`: Prisma 8's commands create, migrate and verify the tables, which are in the schema `public` under their own names.
 *
 * @example
 * ```ts
 * orm: ormConfig({ contract: './contract.prisma', extensions: [outbox] })
 * ```
 */
export const outbox = { ...own, contractSpace: contractSpace as any, create }

/**
 * For the client, if `prisma.config.ts` has {@link outbox}.
 *
 * @example
 * ```ts
 * postgres<Contract>({ contractJson, url, extensions: [outboxRuntime] })
 * ```
 */
export const outboxRuntime = { ...own, codecs: () => [], create }
