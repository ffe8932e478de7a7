/**
 * A benchmark of transactional outboxes that knows no product: PostgreSQL to Kafka, one relay process, one adapter file.
 * `npx tsx bench/neutral/main.ts --adapter NAME[:VARIANT] --mode MODE …`; README.md has the options.
 */
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startKafka } from '../../test/support/kafka.ts'
import { freePort } from '../../test/support/ports.ts'
import { startPostgres } from '../../test/support/postgres.ts'
import { adapterFile, loadAdapter } from './adapter.ts'
import { acks } from './modes/acks.ts'
import { drain } from './modes/drain.ts'
import { latency } from './modes/latency.ts'
import { fiveRounds } from './modes/rounds.ts'
import { optionsOf } from './options.ts'
import type { Bench } from './place.ts'
import { killRelays, watchOthers } from './relay.ts'
import type { Result } from './result.ts'
import { warmBroker } from './warm.ts'

const modes: Record<string, (bench: Bench) => Promise<Result>> = {
  drain: (bench) => drain(bench, { n: bench.options.n ?? 100_000, keys: bench.options.keys }),
  hot: (bench) => drain(bench, { n: bench.options.n ?? 20_000, keys: 1 }),
  kill: (bench) => drain(bench, { n: bench.options.n ?? 100_000, keys: bench.options.keys, kills: bench.options.kills }),
  latency: (bench) => latency(bench, bench.options),
  writers: (bench) => latency(bench, { rate: 0, seconds: Math.min(10, bench.options.seconds) }),
  xmin: (bench) => fiveRounds(bench, { n: bench.options.n ?? 20_000, keys: bench.options.keys, hold: true }),
  rounds: (bench) => fiveRounds(bench, { n: bench.options.n ?? 20_000, keys: bench.options.keys, hold: false }),
  acks: (bench) => acks(bench, { n: bench.options.n ?? 5_000, keys: bench.options.keys }),
}

/** A broker with a second listener, whose clients are sent to the proxy of the mode `acks`. */
async function startWatchedKafka() {
  const [port, controller, listener, proxy] = [await freePort(), await freePort(), await freePort(), await freePort()]
  const settings = {
    'controller.quorum.bootstrap.servers': `127.0.0.1:${controller}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controller},WATCHED://127.0.0.1:${listener}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},WATCHED://127.0.0.1:${proxy}`,
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,WATCHED:PLAINTEXT',
  }
  const kafka = await startKafka(settings, { port })
  return { kafka, watched: { brokers: `127.0.0.1:${proxy}`, listener, proxy } }
}

async function cleanUp(): Promise<void> {
  await killRelays()
  await Promise.all([postgres?.stop(), own?.kafka.remove()])
  rmSync(bench.folder, { recursive: true, force: true })
}

const options = optionsOf(process.argv.slice(2), Object.keys(modes))
const file = adapterFile(options.adapter)
const adapter = await loadAdapter(file)
const { DATABASE_URL, KAFKA_BROKERS } = process.env
const settings = { max_connections: 200, ...adapter.pgSettings?.(options.variant), ...options.settings }
const postgres = DATABASE_URL ? undefined : await startPostgres(settings)
const own = KAFKA_BROKERS ? undefined : await startWatchedKafka()
const bench: Bench = {
  adapter,
  adapterFile: file,
  options,
  databaseUrl: DATABASE_URL || postgres!.url,
  brokers: KAFKA_BROKERS || own!.kafka.brokers,
  folder: mkdtempSync(join(tmpdir(), 'outbox-neutral-')),
  watched: own?.watched,
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => cleanUp().finally(() => process.exit(130)))

try {
  if (own && (options.n ?? 100_000) >= 10_000) await warmBroker(bench.brokers)
  for (let run = 0; run < options.runs; run++) {
    for (const mode of options.modes) {
      const { adapter, variant } = options
      const others = watchOthers()
      const result = await modes[mode]!(bench)
      const line = JSON.stringify({ adapter, variant, mode, at: new Date().toISOString(), ...result, foreignCores: others() })
      if (options.out) appendFileSync(options.out, `${line}\n`)
      console.log(line)
      if (result.ok !== true) process.exitCode = 1
    }
  }
} finally {
  await cleanUp()
}
