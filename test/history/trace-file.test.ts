import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

test('a SIGKILL takes no line that was added now, and none before it', async () => {
  const path = join(mkdtempSync(join(tmpdir(), 'outbox-trace-')), 'trace')
  const module = JSON.stringify(fileURLToPath(new URL('trace-file.ts', import.meta.url)))
  const program = `const { TraceFile } = await import(${module}); const trace = new TraceFile(${JSON.stringify(path)})
trace.add({ what: 'fetched', ids: ['a'] }); trace.addNow({ what: 'settles', ids: ['a'] }); trace.add({ what: 'settled', ids: ['a'] })
process.kill(process.pid, 'SIGKILL')`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], { stdio: 'inherit' })
  await new Promise((resolve) => child.once('exit', resolve))
  const lines = readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(lines.map(({ what }) => what)).toEqual(['fetched', 'settles'])
})
