// Kafka Connect (standalone) + Debezium PostgreSQL connector with the outbox event router. Variants: see `variants`.
// Needs DEBEZIUM_LAB: a folder with connect-libs/ (debezium/connect-pom.xml) and plugins/debezium-postgres/ (debezium/plugin-pom.xml),
// both filled by `mvn dependency:copy-dependencies`; debezium/README.md has the commands.
import fs from 'node:fs'
import path from 'node:path'

const lab = process.env.DEBEZIUM_LAB || path.join(import.meta.dirname, '..', 'debezium', 'lab')
const lean = { 'extended.headers.enabled': false }
const variants = {
  default: {}, // only what the table needs
  lean,
  low: { ...lean, 'poll.interval.ms': 1, 'producer.override.linger.ms': 0 },
  tuned: {
    ...lean,
    'poll.interval.ms': 1,
    'max.batch.size': 8192,
    'max.queue.size': 32768,
    'producer.override.linger.ms': 1,
    'producer.override.batch.size': 262144,
  },
  bulk: {
    ...lean,
    'poll.interval.ms': 10,
    'max.batch.size': 16384,
    'max.queue.size': 65536,
    'producer.override.linger.ms': 20,
    'producer.override.batch.size': 524288,
    'producer.override.compression.type': 'lz4',
  },
  flush1s: { ...lean, 'poll.interval.ms': 1, 'producer.override.linger.ms': 0 },
}
const bytes = 'org.apache.kafka.connect.converters.ByteArrayConverter'
const file = (name, o) => {
  fs.writeFileSync(
    name,
    Object.entries(o)
      .map(([k, v]) => `${k}=${v}\n`)
      .join(''),
  )
  return name
}

const adapter = {
  pgSettings: { wal_level: 'logical', max_wal_size: '4GB' },
  async setup(ctx, client) {
    await client.query(`CREATE TABLE outbox (
      id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, message_id uuid NOT NULL DEFAULT gen_random_uuid(), topic text NOT NULL, key bytea, value bytea,
      headers jsonb NOT NULL DEFAULT '{}', bucket int NOT NULL DEFAULT 0, created_at timestamptz NOT NULL DEFAULT now())`)
    await client.query("CREATE PUBLICATION outbox_pub FOR TABLE outbox WITH (publish = 'insert')")
    await client.query('SELECT pg_create_logical_replication_slot($1, $2)', [`s${ctx.id}`, 'pgoutput'])
  },
  preload: (ctx, client, source) =>
    client.query(`INSERT INTO outbox (topic, key, value) SELECT '${ctx.topic}', key::bytea, payload::bytea FROM (${source}) s`),
  insert: (ctx, m) => ({
    name: 'ins',
    text: 'INSERT INTO outbox (topic, key, value) VALUES ($1, $2, $3)',
    values: [ctx.topic, Buffer.from(m.key), Buffer.from(m.payload)],
  }),
  relay(ctx) {
    const u = new URL(ctx.databaseUrl)
    const base = path.join(ctx.folder, ctx.id)
    const log4j = path.join(ctx.folder, 'log4j2.xml')
    fs.writeFileSync(
      log4j,
      `<Configuration status="ERROR"><Appenders><Console name="C"><PatternLayout pattern="%d{HH:mm:ss.SSS} %p %c{1} - %m%n"/></Console></Appenders>
<Loggers><Root level="${process.env.DEBEZIUM_LOG || 'WARN'}"><AppenderRef ref="C"/></Root></Loggers></Configuration>`,
    )
    const worker = file(`${base}.worker.properties`, {
      'bootstrap.servers': ctx.brokers,
      'key.converter': bytes,
      'value.converter': bytes,
      'offset.storage.file.filename': `${base}.offsets`,
      'offset.flush.interval.ms': ctx.variant === 'flush1s' ? 1000 : 60000,
      'plugin.path': path.join(lab, 'plugins'),
      'plugin.discovery': 'service_load',
      listeners: `http://127.0.0.1:${process.env.DEBEZIUM_REST || 30290}`,
      'connector.client.config.override.policy': 'All',
    })
    const connector = file(`${base}.connector.properties`, {
      name: 'outbox',
      'connector.class': 'io.debezium.connector.postgresql.PostgresConnector',
      'tasks.max': 1,
      'database.hostname': u.hostname,
      'database.port': u.port,
      'database.user': u.username,
      'database.password': u.password,
      'database.dbname': u.pathname.slice(1),
      'topic.prefix': 'ox',
      'plugin.name': 'pgoutput',
      'slot.name': `s${ctx.id}`,
      'publication.name': 'outbox_pub',
      'publication.autocreate.mode': 'disabled',
      'table.include.list': 'public.outbox',
      'snapshot.mode': 'no_data',
      'skipped.operations': 'u,d,t',
      'tombstones.on.delete': false,
      'key.converter': bytes,
      'value.converter': bytes,
      'header.converter': 'org.apache.kafka.connect.storage.StringConverter',
      transforms: 'outbox',
      'transforms.outbox.type': 'io.debezium.transforms.outbox.EventRouter',
      'transforms.outbox.table.field.event.id': 'message_id',
      'transforms.outbox.table.field.event.key': 'key',
      'transforms.outbox.table.field.event.payload': 'value',
      'transforms.outbox.route.by.field': 'topic',
      'transforms.outbox.route.topic.replacement': '${routedByValue}',
      'transforms.outbox.table.fields.additional.placement': 'headers:header:outbox-headers',
      ...variants[ctx.variant],
    })
    return {
      cmd: 'java',
      args: [
        '-Xms256m',
        `-Xmx${process.env.DEBEZIUM_HEAP || '1g'}`,
        '-XX:+UseG1GC',
        `-Dlog4j2.configurationFile=${log4j}`,
        '-cp',
        `${path.join(lab, 'connect-libs')}/*`,
        'org.apache.kafka.connect.cli.ConnectStandalone',
        worker,
        connector,
      ],
    }
  },
}

// The benchmark loads an adapter by its default export.
export { adapter as default }
