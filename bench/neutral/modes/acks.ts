import { type Bench, Place } from '../place.ts'
import { watchProduce } from '../produce-watch.ts'
import { Relay } from '../relay.ts'
import { type Result, round } from '../result.ts'

/** What the relay asks of the broker: acks, idempotence, compression, records a request. */
export async function acks(bench: Bench, { n, keys }: { n: number; keys: number }): Promise<Result> {
  if (bench.watched === undefined) throw new Error('The mode acks needs a broker that is started here: leave KAFKA_BROKERS out.')
  const { brokers, proxy, listener } = bench.watched
  const { seen, stop } = await watchProduce(proxy, listener)
  try {
    await using place = await Place.create(bench, brokers)
    await place.preload({ n, keys })
    await place.settle()
    await using relay = new Relay(bench.adapter, place.context)
    const ok = await place.drained(() => relay, n, 60_000)
    return { ok, n, ...seen, recordsPerRequest: round(n / seen.requests, 1) }
  } finally {
    stop()
  }
}
