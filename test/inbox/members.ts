import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

interface Member {
  child: ChildProcess
  /** Messages that it has applied so far. */
  applied: number
}

function startMember(program: string, env: Record<string, string>, moved: () => void): Member {
  const path = fileURLToPath(new URL(program, import.meta.url))
  const child = spawn(process.execPath, ['--import', 'tsx', path], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const member: Member = { child, applied: 0 }
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const [, n] = /^applied (\d+)$/.exec(line) ?? []
    if (n === undefined || n === '0') return
    member.applied += Number(n)
    moved()
  })
  return member
}

/**
 * Two members with kills: whenever so many messages more were applied, one of those that have applied some since they were started is
 * killed, and another started in its place. Resolves when `done` says so.
 */
export async function consume(
  program: string,
  env: Record<string, string>,
  { kills, each, done }: { kills: number; each: number; done: () => Promise<boolean> },
): Promise<number> {
  let wake = () => {}
  const moved = () => wake()
  const members = [startMember(program, env, moved), startMember(program, env, moved)]
  let killed = 0
  let total = 0
  let at = 0
  while (!(await done())) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, 1_000)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    const now = total + members.reduce((sum, { applied }) => sum + applied, 0)
    // The busier one: it is in the middle of its work.
    const victim = members[0]!.applied > members[1]!.applied ? 0 : 1
    if (killed === kills || now < at + each || members[victim]!.applied === 0) continue
    at = now
    total += members[victim]!.applied
    members[victim]!.child.kill('SIGKILL')
    members[victim] = startMember(program, env, moved)
    killed++
  }
  for (const { child } of members) child.kill('SIGKILL')
  return killed
}
