import { readFileSync } from 'node:fs'

/**
 * `npm run profile -- FILE …`: what a process was busy with, by the CPU profiles that `--cpu-prof` writes, one table for each: parts of the
 * program by the time in their own functions, as a share of all time that was not idle.
 */
interface Profile {
  nodes: { id: number; callFrame: { functionName: string; url: string } }[]
  samples: number[]
  timeDeltas: number[]
}

const leastShare = 0.01

for (const file of process.argv.slice(2)) {
  const shares = sharesOf(JSON.parse(readFileSync(file, 'utf8')) as Profile)
  console.log(`\n| ${file} | share |\n| --- | ---: |`)
  for (const [part, share] of shares) console.log(`| ${part} | ${(share * 100).toFixed(1)} % |`)
}

function sharesOf({ nodes, samples, timeDeltas }: Profile): [part: string, share: number][] {
  const parts = new Map(nodes.map(({ id, callFrame }) => [id, partOf(callFrame.functionName, callFrame.url)]))
  const times = new Map<string, number>()
  for (const [i, id] of samples.entries()) {
    const part = parts.get(id)!
    times.set(part, (times.get(part) ?? 0) + timeDeltas[i]!)
  }
  times.delete('(idle)')
  const all = [...times.values()].reduce((sum, time) => sum + time, 0)
  const shares = [...times].map(([part, time]): [string, number] => [part, time / all]).sort((a, b) => b[1] - a[1])
  const shown = shares.filter(([, share]) => share >= leastShare)
  return [...shown, ['others', 1 - shown.reduce((sum, [, share]) => sum + share, 0)]]
}

/** A package, a folder of ours, or what Node does on its own. */
function partOf(name: string, url: string): string {
  if (name === 'writeBuffer' || name === 'writev') return 'write() on a socket'
  const [, installed] = url.match(/.*node_modules\/((?:@[^/]+\/)?[^/]+)/) ?? []
  if (installed) return installed
  const [, ours] = url.match(/\/dist\/([^/]+)/) ?? []
  if (ours) return `ours: ${ours}`
  if (name.startsWith('(')) return name
  return url === '' || url.startsWith('node:') ? 'Node' : 'the program'
}
