import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

test.each([
  ['process.exitCode = 3', 3],
  ['process.exit(0)', 0],
])(
  'a process that had a PostgreSQL of its own ends with its own exit code (%s): no failed test run passes, no other fails',
  async (end, code) => {
    const module = JSON.stringify(fileURLToPath(new URL('postgres.ts', import.meta.url)))
    const program = `const { startPostgres } = await import(${module}); await (await startPostgres()).stop(); ${end}`
    const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program], { stdio: 'inherit' })
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(code)
  },
)
