import { contenders } from './contenders.ts'
import { drain } from './drain.ts'
import type { Bench } from './mode.ts'

/** Messages that a broker appends before anything is measured: a fresh Java machine is several times slower than a warm one. */
const warmMessages = 100_000

/** Warms up a broker that was started for this benchmark. */
export async function warm(bench: Bench): Promise<void> {
  if (process.env.KAFKA_BROKERS) return
  await drain(bench, contenders['kafka-only'], { messages: warmMessages, keys: 10_000 })
}
