import { describe } from 'vitest'
import { describeEnqueue } from './behaviour.ts'
import { prisma7 } from './clients.ts'

describe(prisma7.name, () => describeEnqueue(async () => prisma7, { nested: true }))
