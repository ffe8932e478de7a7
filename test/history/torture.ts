import { reportOf } from '../../src/proof/report.ts'
import { generateClients } from '../support/generate.ts'
import { tortureOptions } from './options.ts'
import { torture } from './run.ts'

/** `npm run torture`: real servers, real relays, faults drawn from a seed, and a judgement of everything that came out. */
const options = tortureOptions(process.argv.slice(2), Date.now())
console.log(`seed ${options.seed}`)
if (options.timezone) process.env.TZ = options.timezone
await generateClients()
const { history, judgement, folder } = await torture(options, console.log)
console.log(`\nseed ${options.seed}\n${reportOf(history, judgement)}`)
if (folder) console.log(`\nThe history is in ${folder}; its schedule can be replayed with --schedule ${folder}/schedule.json`)
process.exit(judgement.sound ? 0 : 1)
