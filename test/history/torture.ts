import { generateClients } from '../support/generate.ts'
import { judge } from './judge.ts'
import { kept } from './kept.ts'
import { tortureOptions } from './options.ts'
import { reportOf } from './report.ts'

/** `npm run torture`: real servers, real relays, faults drawn from a seed, and a judgement of everything that came out. */
const options = tortureOptions(process.argv.slice(2), Date.now())
if (options.judge !== undefined) {
  const history = kept.read(options.judge)
  const judgement = judge(history)
  console.log(reportOf(history, judgement))
  process.exit(judgement.sound ? 0 : 1)
}
console.log(`seed ${options.seed}`)
if (options.timezone) process.env.TZ = options.timezone
await generateClients()
// The generated clients must be there before what imports them.
const { torture } = await import('./run.ts')
const { history, judgement, folder } = await torture(options, console.log)
console.log(`\nseed ${options.seed}\n${reportOf(history, judgement)}`)
if (folder)
  console.log(`\nThe history is in ${folder}: judge it again with --judge, replay it with --schedule ${folder}/schedule.json`)
process.exit(judgement.sound ? 0 : 1)
