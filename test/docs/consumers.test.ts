import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { inboxDefaults } from '../../src/inbox/index.ts'
import type { InboxEvents } from '../../src/inbox/telemetry.ts'
import { inboxMetrics } from '../../src/ops/index.ts'
import { Emitter } from '../../src/running/emitter.ts'
import { section, tableOf } from '../support/readme.ts'

const file = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')
const page = file('docs/consumers.md')
const options = tableOf('option', section('## A consumer: `createInbox`', page))
const reasons = tableOf('reason', section('### Dead-lettered messages', page))
const told = tableOf('event', section('### Watching a consumer', page))
const metrics = tableOf('metric', section('### Watching a consumer', page))
const projection = tableOf('option', section('## Read models: `createProjection`', page))
/** Everything that stands as code in the first cells. */
const names = (rows: string[][]) => rows.flatMap(([cell]) => [...cell!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!))
/** Members of an exported interface, as its file declares them. */
const members = (path: string, name: string) => {
  const [, body] = new RegExp(`export interface ${name}\\b.*?\\{\\n(.*?)\\n\\}`, 's').exec(file(path))!
  return [...body!.matchAll(/^ {2}(\w+)\??:/gm)].map(([, member]) => member!)
}
/** Options of both kinds of consumer. */
const place = members('src/inbox/table-set.ts', 'InboxPlace')

describe('docs/consumers.md lists exactly', () => {
  test('the options of createInbox, with their defaults', () => {
    expect(names(options).sort()).toEqual([...members('src/inbox/inbox/options.ts', 'InboxOptions'), ...place].sort())
    const shown = Object.fromEntries(options.map(([option, value]) => [names([[option!]])[0], value]))
    for (const [option, value] of Object.entries(inboxDefaults)) {
      expect([option, shown[option]]).toEqual([option, `\`${inspect(value)}\``])
    }
  })

  test('the options of createProjection, with their defaults', () => {
    const path = 'src/inbox/projection/options.ts'
    expect(names(projection).sort()).toEqual([...members(path, 'ProjectionOptions'), ...place].sort())
    const batch = /const defaultBatch = (\d+)/.exec(file(path))![1]
    expect(projection.find(([option]) => option === '`batch`')![1]).toBe(`\`${batch}\``)
  })

  test('what an inbox tells', () => {
    expect(names(told.map(([cell]) => [cell!])).sort()).toEqual(members('src/inbox/telemetry.ts', 'InboxEvents').sort())
  })

  test('what a projection tells', () => {
    const [, words] = /The events of `view\.on` are ([\s\S]*?)\.\n/.exec(page)!
    const own = members('src/inbox/telemetry.ts', 'ProjectionEvents')
    expect(names([[words!]]).sort()).toEqual([...own, 'consumer_crashed', 'partitions_assigned'].sort())
  })

  test('why a message is dead-lettered', () => {
    const [, unreadable] = /export type UnreadableReason = (.*)/.exec(file('src/inbox/decode.ts'))!
    const known = [...unreadable!.matchAll(/'(\w+)'/g)].map(([, reason]) => reason!)
    expect(names(reasons).sort()).toEqual([...known, 'HANDLER_FAILED', 'NO_HANDLER'].sort())
  })

  test('the metrics, with their labels', async () => {
    const registry = inboxMetrics(new Emitter<InboxEvents>()).getMetricsAsArray() as unknown as {
      name: string
      labelNames: string[]
    }[]
    expect(metrics.map(([name, labels]) => [name, labels])).toEqual(
      registry.map(({ name, labelNames }) => [`\`${name}\``, labelNames.join(', ')]),
    )
  })
})
