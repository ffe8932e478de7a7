import { describe } from 'vitest'
import { describeEnqueue } from './behaviour.ts'
import { loadPrisma6 } from './clients.ts'

console.log('Skipped with Prisma 6.19: the tests of nested transactions, which came with Prisma 7.5.')

describe('Prisma 6.19', () => describeEnqueue(loadPrisma6, { nested: false }))
