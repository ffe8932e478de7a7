import { spawn } from 'node:child_process'
import { builtMain } from './build.ts'

/** What a run of the command line left behind. */
export interface CliResult {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs the real program in a process of its own, with nothing in its environment but what is given. */
export function cli(args: readonly string[], env: Record<string, string> = {}, cwd?: string): Promise<CliResult> {
  const child = spawn(process.execPath, [builtMain, ...args], {
    cwd,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (data) => {
    stdout += data
  })
  child.stderr.on('data', (data) => {
    stderr += data
  })
  return new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr })))
}
