import { relayLog } from '../../src/ops/log.ts'
import { RelayEngine } from '../../src/relay/relay.ts'
import { postgresStore } from '../../src/store/postgres/store.ts'
import type { BatchWork, Store, StoreSession } from '../../src/store/store.ts'
import { kafkajsTransport } from '../../src/transport/kafkajs/kafkajs.ts'
import { around, type Transport } from '../../src/transport/transport.ts'

// A relay of the exactly-once mode that gets a signal at one point of the protocol: POINT, the TURN-th time that it comes there.

const { POINT, SIGNAL = 'SIGKILL', DATABASE_URL, KAFKA_BROKERS } = process.env
let turn = Number(process.env.TURN)

/** The relay is at that point. A stopped process is woken by the test. */
function reached(point: string): void {
  if (point === POINT && --turn === 0) process.kill(process.pid, SIGNAL)
}

const ends = ({ landed }: BatchWork) => landed.length > 0
const begins = ({ begun }: BatchWork) => begun.length > 0

async function record(session: StoreSession, work: BatchWork): ReturnType<StoreSession['record']> {
  if (begins(work)) reached('before-record')
  if (ends(work)) reached('before-delete')
  const answer = session.record(work)
  if (begins(work)) reached('while-recording')
  const done = await answer
  if (begins(work)) reached('recorded')
  if (ends(work)) reached('deleted')
  return done
}

const watching = (store: Store): Store => ({
  listen: store.listen.bind(store),
  connect: async (me) => {
    const session = await store.connect(me)
    return new Proxy(session, {
      get(target, name) {
        if (name === 'record') return (work: BatchWork) => record(target, work)
        const value = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  },
})

const sending = (transport: Transport): Transport =>
  around(transport, {
    publish: async (batch, timeoutMs, how) => {
      const answer = transport.publish(batch, timeoutMs, how)
      setImmediate(() => reached('while-sending'))
      const outcome = await answer
      if (outcome.kind === 'acked') reached('acknowledged')
      return outcome
    },
  })

const relay = new RelayEngine(
  {
    store: watching(postgresStore({ databaseUrl: DATABASE_URL! })),
    transport: sending(kafkajsTransport({ brokers: KAFKA_BROKERS!.split(',') })),
    version: '0.0.0-test',
  },
  { exactlyOnce: true, leaseMs: Number(process.env.OUTBOX_LEASE_MS), batchRecords: 10 },
)
relayLog(relay)
await relay.start()
