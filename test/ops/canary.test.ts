import { randomBytes } from 'node:crypto'
import { expect, inject, onTestFinished, test } from 'vitest'
import { cli } from '../support/cli.ts'
import { startCollector } from '../support/collector.ts'
import { createDatabase } from '../support/database.ts'
import { startRelayProcess } from '../support/relay-process.ts'
import { insertRows } from '../support/rows.ts'
import { createTopic } from '../support/topics.ts'
import { writeTracingModule } from '../support/tracing.ts'

/** A value that must never be told, and what Base64, hexadecimal and a URL make of it. */
function canary(what: string): { text: string; forms: string[] } {
  const text = `canary-${what}-${randomBytes(6).toString('hex')}`
  const bytes = Buffer.from(text)
  return { text, forms: [text, bytes.toString('hex'), bytes.toString('base64').slice(0, -4), encodeURIComponent(text)] }
}

test('payloads, keys, header values, passwords and secrets are in no log, metric, span, health page or error, and but for keys in no dashboard', async () => {
  const database = await createDatabase()
  onTestFinished(() => database.drop())
  const names = ['value', 'key', 'header', 'dead-key', 'dead-value', 'database', 'listen', 'sasl', 'http'] as const
  const birds = Object.fromEntries(names.map((name) => [name, canary(name)])) as Record<
    (typeof names)[number],
    ReturnType<typeof canary>
  >
  const text = (name: (typeof names)[number]) => birds[name].text

  /** The database's URL with a role and a password of its own. */
  const url = async (name: 'database' | 'listen') => {
    const own = new URL(database.url)
    const role = `${name}_${own.pathname.slice(-12)}`
    await database.query(`CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD '${text(name)}'`)
    onTestFinished(async () => {
      await database.query(`DROP ROLE ${role}`)
    })
    ;[own.username, own.password] = [role, text(name)]
    return own.href
  }
  const collector = await startCollector()
  const env = {
    NODE_OPTIONS: `--import ${writeTracingModule()}`,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    // So that only the end of a relay sends them.
    OTEL_BSP_SCHEDULE_DELAY: '600000',
    DATABASE_URL: await url('database'),
    OUTBOX_LISTEN_URL: await url('listen'),
    KAFKA_BROKERS: inject('brokers'),
    LOG_LEVEL: 'trace',
    OUTBOX_LEASE_MS: '3000',
    OUTBOX_LISTEN: '127.0.0.1:0',
    OUTBOX_HTTP_LOGIN: `scraper:${text('http')}`,
  }
  const authorization = `Basic ${Buffer.from(`scraper:${text('http')}`).toString('base64')}`
  const outputs: Record<string, string> = {}
  /** Everything that a relay tells until its end, with its pages once a line that fits was logged. */
  const listen = async (name: string, more: Record<string, string>, until: (line: Record<string, unknown>) => boolean) => {
    const relay = startRelayProcess({ ...env, ...more })
    const { url } = await relay.until((line) => line.event === 'listening')
    await relay.until(until)
    const found = await database.query<{ id: string }>(
      'SELECT message_id AS id FROM outbox UNION ALL SELECT message_id FROM outbox_dead_letter',
    )
    const shown = ['', 'messages', 'messages?state=dead', 'dead', ...found.map(({ id }) => `message?id=${id}`)]
    for (const page of ['livez', 'readyz', 'metrics', 'nothing', 'dashboard.js', ...shown]) {
      outputs[`${name} /${page}`] = await (await fetch(`${url}/${page}`, { headers: { authorization } })).text()
    }
    await relay.end('SIGTERM')
    outputs[`${name} log`] = JSON.stringify(relay.log)
  }

  const topic = await createTopic('canary')
  const small = await createTopic('small', 1, { config: { 'max.message.bytes': '2000' } })
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
  await insertRows(database.pool, [
    { topic, key: text('key'), value: text('value'), headers: { tenant: text('header'), traceparent: text('header') } },
    { topic, key: text('key'), value: text('value'), headers: { traceparent, tracestate: text('header') } },
    { topic: small, key: 'ok' },
    { topic: small, key: text('dead-key'), value: text('dead-value').repeat(100) },
    { topic: small, key: text('dead-key'), value: text('dead-value') },
  ])
  await listen('plain', {}, (line) => line.event === 'sampled' && line.blockedKeys === 1)
  // A Kafka that wants no login: trouble in the words of client and broker.
  await insertRows(database.pool, [{ topic, key: text('key'), value: text('value'), headers: { tenant: text('header') } }])
  const sasl = { KAFKA_SASL_MECHANISM: 'plain', KAFKA_SASL_USERNAME: 'u', KAFKA_SASL_PASSWORD: text('sasl') }
  await listen('sasl', sasl, (line) => line.event === 'kafka_trouble')
  for (const more of [{ DATABASE_URL: env.DATABASE_URL.replace(/@.*/, '@/') }, { OUTBOX_HTTP_LOGIN: text('http') }, sasl]) {
    const { stdout, stderr } = await cli(['relay', '--drain', '--lease-ms', '1'], { ...env, ...more })
    outputs[`refused ${Object.keys(more)[0]}`] = stdout + stderr
  }

  outputs.spans = collector.text.join('\n')
  expect(collector.spans.filter(({ name }) => name === `send ${topic}`).flatMap(({ links }) => links)).toMatchObject([
    { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) },
  ])
  expect(collector.spans.map(({ attributes }) => attributes['error.type'])).toContain('MESSAGE_TOO_LARGE')
  expect(outputs['plain /metrics']).toContain('outbox_dead_messages{reason="MESSAGE_TOO_LARGE"} 1')
  expect(outputs['plain log']).toContain('"event":"published"')
  expect(outputs['sasl log']).toContain('"event":"kafka_trouble"')
  const shownKeys = Object.entries(outputs).filter(
    ([name, output]) => /\/mess|\/dead/.test(name) && output.includes(text('dead-key')),
  )
  // The dashboard shows keys to anyone who may see it, as `list` does.
  expect(shownKeys.length).toBeGreaterThan(2)
  const keys = [...birds.key.forms, ...birds['dead-key'].forms]
  for (const [name, output] of Object.entries(outputs)) {
    expect(output, name).not.toBe('')
    for (const { forms } of Object.values(birds)) {
      for (const form of forms) if (!(/\/mess/.test(name) && keys.includes(form))) expect(output, name).not.toContain(form)
    }
  }
})
