import { insertRows } from '../../support/rows.ts'
import { type Fault, inSession } from '../fault.ts'

/** Faults that come with the load of the applications. */
export const loadFaults: readonly Fault[] = [
  {
    name: 'load-late-rollback',
    what: 'a transaction draws a hundred ids of the outbox and holds them, invisible, for up to 15 s; then it rolls back',
    lastsMs: [2_000, 15_000],
    begin: (ground) =>
      inSession(ground, async (client) => {
        const topic = ground.topics.steady[0]!
        for (let i = 0; i < 100; i++) await insertRows(client, [{ topic, key: `never-${i}`, value: `never-${i}` }])
      }),
  },
]
