import { expect, onTestFinished, test } from 'vitest'
import { createInbox, createProjection, type InboxOptions } from '../../src/inbox/index.ts'
import { inboxMetrics } from '../../src/ops/inbox-metrics.ts'
import { hearConsole } from '../support/console.ts'
import { type Client, createStage, type Events, record, type Stage, useMail } from './stage.ts'

const { client } = useMail()

const boom = () => {
  throw new Error('secret of ada@example.com\n    at the till')
}

function inboxOf({ events, kafka, topic }: Stage, options: Partial<InboxOptions<Client, Events, undefined>> = {}) {
  const inbox = createInbox({
    prisma: client(),
    consumer: 'mail',
    events,
    handlers: { Counted: boom },
    retry: { firstMs: 50, maxMs: 100 },
    ...options,
  })
  onTestFinished(() => inbox.stop())
  const run = () => void inbox.run(kafka.consumer(inbox.consumerConfig({ groupId: `mail-${topic}` }))).catch(() => {})
  return { inbox, run }
}

test('a handler that throws is told at the console with its place in the code, not with its words', async () => {
  const heard = hearConsole()
  const stage = await createStage(1)
  await stage.send([record('a', 1)])
  const { inbox, run } = inboxOf(stage)
  inboxMetrics(inbox)
  run()
  const line = await heard.until('apply failed')
  expect(line).toContain(`consumer=mail topic=${stage.topic} partition=0 offset=0`)
  expect(line).toMatch(/code=Error .*silence\.test\.ts:\d+/)
  expect(line).not.toMatch(/ada@example|the till/)
})

test('a message that is put aside is told once', async () => {
  const heard = hearConsole()
  const stage = await createStage(1)
  await stage.send([record('a', 1)])
  inboxOf(stage, { deadLetter: { after: 1 } }).run()
  expect(await heard.until('dead lettered')).toContain('reason=HANDLER_FAILED')
  expect(heard.lines.map(({ level }) => level)).toEqual(['error'])
})

test('what a handler listens to is left to it', async () => {
  const heard = hearConsole()
  const stage = await createStage(1)
  await stage.send([record('a', 1)])
  const { inbox, run } = inboxOf(stage)
  const failed = new Promise<{ error: string }>((resolve) => inbox.on('apply_failed', resolve))
  run()
  expect((await failed).error).toMatch(/^Error\n\s+at .*silence\.test\.ts/)
  expect(heard.lines).toEqual([])
})

test('a projection whose handler throws says so, too', async () => {
  const heard = hearConsole()
  const { events, kafka, send, topic } = await createStage(1)
  await send([record('a', 1)])
  const view = createProjection({ prisma: client(), name: `view-${topic}`, events, handlers: { Counted: boom } })
  onTestFinished(() => view.stop())
  void view.run(kafka).catch(() => {})
  expect(await heard.until('projection failed')).toMatch(/code=Error .*silence\.test\.ts:\d+/)
})
