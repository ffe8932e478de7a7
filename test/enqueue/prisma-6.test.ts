import { describeEnqueue } from './behaviour.ts'
import { loadPrisma6 } from './clients.ts'
import { version7 } from './versions.ts'

describeEnqueue(version7('Prisma 6.19', loadPrisma6))
