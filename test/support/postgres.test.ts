import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

test('a process that had a PostgreSQL of its own ends with its own exit code: a failed test run must not pass', async () => {
  const module = JSON.stringify(fileURLToPath(new URL('postgres.ts', import.meta.url)))
  const program = `const { startPostgres } = await import(${module}); await (await startPostgres()).stop(); process.exitCode = 3`
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], { stdio: 'inherit' })
  expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(3)
})
