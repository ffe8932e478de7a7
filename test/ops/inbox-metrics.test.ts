import { expect, test } from 'vitest'
import type { InboxEvents } from '../../src/inbox/telemetry.ts'
import { inboxMetrics } from '../../src/ops/index.ts'
import { Emitter } from '../../src/running/emitter.ts'

test('what a consumer tells is counted, by consumer and topic', async () => {
  const telemetry = new Emitter<InboxEvents>()
  const registry = inboxMetrics(telemetry)
  const where = { consumer: 'mail', topic: 'orders', partition: 0 }
  const message = { ...where, offset: '7', messageId: null }
  telemetry.emit('applied', { ...where, messages: 3, copies: 2, ms: 20 })
  telemetry.emit('apply_failed', { ...message, attempt: 1, code: 'P2002', error: 'Error', waitMs: 500 })
  telemetry.emit('dead_lettered', { ...message, reason: 'INVALID_JSON', attempts: 0 })
  telemetry.emit('blocked', { ...where, messages: 4 })
  telemetry.emit('redriven', { consumer: 'mail', topic: 'orders', messages: 5, by: null })
  telemetry.emit('discarded', { ...message, by: null })
  telemetry.emit('inbox_pruned', { consumer: 'mail', rows: 6, ms: 1 })
  telemetry.emit('consumer_crashed', { consumer: 'mail', code: 'X', topic: null, restart: true })
  const text = await registry.metrics()
  const labels = 'consumer="mail",topic="orders"'
  for (const line of [
    `inbox_messages_applied_total{${labels}} 3`,
    `inbox_copies_total{${labels}} 2`,
    `inbox_failures_total{${labels}} 1`,
    `inbox_messages_dead_lettered_total{${labels},reason="INVALID_JSON"} 1`,
    `inbox_messages_blocked_total{${labels}} 4`,
    `inbox_messages_redriven_total{${labels}} 5`,
    `inbox_messages_discarded_total{${labels}} 1`,
    'inbox_rows_pruned_total{consumer="mail"} 6',
    'inbox_consumer_crashes_total{consumer="mail"} 1',
    'inbox_apply_seconds_count{consumer="mail"} 1',
  ]) {
    expect(text.split('\n')).toContain(line)
  }
})
