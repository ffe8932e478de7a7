import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { inboxDefaults } from '../../src/inbox/index.ts'
import { pageOf, section, tableOf } from '../support/readme.ts'
import { declared } from './doc-comments.ts'

const file = (path: string) => readFileSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)), 'utf8')
const options = tableOf('option', section('## A consumer: `createInbox`', pageOf('docs/consumers.md')))
const reasons = tableOf('reason', section('## Dead-lettered messages', pageOf('docs/guides/consumer-failures.md')))
const projection = tableOf('option', pageOf('docs/guides/projections.md'))
/** Everything that stands as code in the first cells. */
const names = (rows: string[][]) => rows.flatMap(([cell]) => [...cell!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!))
const membersOf = (path: string, name: string) => declared(path, name).map((member) => member.name)
/** Options of both kinds of consumer. */
const place = membersOf('inbox/table-set.ts', 'InboxPlace')

describe('the pages about consumers list exactly', () => {
  test('the options of createInbox, with their defaults', () => {
    expect(names(options).sort()).toEqual([...membersOf('inbox/inbox/options.ts', 'InboxOptions'), ...place].sort())
    const shown = Object.fromEntries(options.map(([option, value]) => [names([[option!]])[0], value]))
    for (const [option, value] of Object.entries(inboxDefaults)) {
      expect([option, shown[option]]).toEqual([option, `\`${inspect(value)}\``])
    }
  })

  test('the options of createProjection, with their defaults', () => {
    const path = 'inbox/projection/options.ts'
    expect(names(projection).sort()).toEqual([...membersOf(path, 'ProjectionOptions'), ...place].sort())
    const batch = /const defaultBatch = (\d+)/.exec(file(`src/${path}`))![1]
    expect(projection.find(([option]) => option === '`batch`')![1]).toBe(`\`${batch}\``)
  })

  test('why a message is dead-lettered', () => {
    const [, unreadable] = /export type UnreadableReason = (.*)/.exec(file('src/inbox/decode.ts'))!
    const known = [...unreadable!.matchAll(/'(\w+)'/g)].map(([, reason]) => reason!)
    expect(names(reasons).sort()).toEqual([...known, 'HANDLER_FAILED', 'NO_HANDLER'].sort())
  })
})
