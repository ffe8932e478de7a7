// Serves a drain handler over HTTP, as a serverless platform would, and prints its port. Started by test/relay/drain-handler.test.ts.
import { createServer } from 'node:http'
import { drainHandler } from '../../dist/embed.js'

const drain = drainHandler(
  () => ({
    databaseUrl: process.env.DATABASE_URL,
    kafka: { brokers: process.env.KAFKA_BROKERS.split(',') },
    leaseMs: 3_000,
    // Small requests, so that a kill hits the middle.
    batchRecords: 20,
    maxInFlight: 200,
  }),
  { budgetMs: Number(process.env.BUDGET_MS), secret: process.env.CRON_SECRET },
)

const server = createServer(async ({ method, headers }, response) => {
  const answer = await drain(
    new Request('http://localhost/drain', { method, headers: { authorization: headers.authorization ?? '' } }),
  )
  response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(await answer.text())
})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ event: 'listening', port: server.address().port })))
