import { describe } from 'vitest'
import { describeEnqueue } from './behaviour.ts'
import { loadPrisma6 } from './clients.ts'

describe('Prisma 6.19', () => describeEnqueue(loadPrisma6, { nested: false }))
