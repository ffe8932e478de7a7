import { describeEnqueue } from './behaviour.ts'
import { defaultVersion } from './versions.ts'

describeEnqueue(defaultVersion)
