import type { Evidence } from '../../src/proof/evidence.ts'
import { type Finding, notJudged, Tally } from '../../src/proof/finding.ts'

/** Resources: memory, handles and connections of every relay, and the write-ahead log of a message, within their budgets. */
export function checkResources({ history }: Evidence): Finding {
  const { resources } = history
  if (!resources || resources.samples.length === 0) return notJudged('nothing was measured')
  const { samples, budget, walBytesPerMessage } = resources
  const tally = new Tally()
  for (const sample of samples) {
    for (const what of ['rssBytes', 'handles', 'connections'] as const) {
      const expected = `${what} at most ${budget[what]}`
      tally.expect(sample[what] <= budget[what], () => ({ of: sample.relay, expected, found: `${sample[what]}` }))
    }
  }
  if (walBytesPerMessage !== null) {
    const expected = `at most ${budget.walBytesPerMessage} bytes of write-ahead log a message`
    const holds = walBytesPerMessage <= budget.walBytesPerMessage
    tally.expect(holds, () => ({ of: 'database', expected, found: `${Math.round(walBytesPerMessage)}` }))
  }
  return tally
}
