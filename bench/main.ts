import { buildIfStale } from '../test/support/build.ts'
import { startServers } from '../test/support/servers.ts'
import { benchOptions } from './options.ts'
import { tablesOf } from './result.ts'
import { modeOf, modes, run } from './run.ts'
import { warm } from './warm.ts'

/** `npm run bench`: figures of the relay beside those of its floors, measured in turn on the same servers. */
const options = benchOptions(process.argv.slice(2), Object.keys(modes))
await buildIfStale()
const servers = await startServers()
try {
  const bench = { servers, options }
  await warm(bench)
  const result = await run(bench, (line) => process.stderr.write(`${line}\n`))
  console.log(options.json ? JSON.stringify(result) : tablesOf(result, modeOf(options).ratios))
} finally {
  await servers.stop()
}
