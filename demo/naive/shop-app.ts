import { once } from 'node:events'
import type { PlaceOrder, Surroundings } from './ways/surroundings.ts'

// The application of one of the ways, in a process of its own: `node shop-app.ts <way>`. Each of its customers places one order after
// the other, and the next only when the last is answered: so the order of a customer's orders is known. It loads everything, says that
// it is ready, and begins when it is told to.

const customers = 8
const { DATABASE_URL, KAFKA_BROKERS, TOPIC, RATE } = process.env
const surroundings: Surroundings = { databaseUrl: DATABASE_URL!, brokers: KAFKA_BROKERS!, topic: TOPIC! }
const { open }: { open(surroundings: Surroundings): Promise<PlaceOrder> } = await import(`./ways/${process.argv[2]}.ts`)
const placeOrder = await open(surroundings)

let stopping = false
process.once('SIGTERM', () => {
  stopping = true
})
console.log('ready')
await once(process.stdin, 'data')
// Its parent has gone: nobody would ever stop it.
process.stdin.once('end', () => process.exit(1))
await Promise.all(Array.from({ length: customers }, (_, n) => shop(`customer${n}@example.com`)))
process.exit(0)

async function shop(customer: string): Promise<void> {
  const turnMs = (customers / Number(RATE)) * 1_000
  let next = performance.now() + Math.random() * turnMs
  while (!stopping) {
    await new Promise((resolve) => setTimeout(resolve, next - performance.now()))
    next = Math.max(performance.now(), next + turnMs)
    try {
      await placeOrder({ customer, sku: 'tea', quantity: 1 })
    } catch {
      // The customer sees an error page, and comes again.
    }
  }
}
