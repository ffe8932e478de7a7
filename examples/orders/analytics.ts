import { readFileSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { Sales } from './sales.ts'

const page = readFileSync(new URL('pages/analytics.html', import.meta.url))

/** Time between two pictures of the same page, in ms: nobody reads faster. */
const pauseMs = 250

/** The analytics over HTTP: `/` is the page, `/figures` tells it each change as a server-sent event. It asks the shop's database for nothing. */
export function createAnalytics(sales: Sales): Server {
  return createServer((request, response) => {
    if (request.url === '/') response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page)
    else if (request.url === '/figures') stream(sales, response)
    else response.writeHead(404).end()
  })
}

/** Sends the figures now, and again after they have changed, until the browser goes away. It comes back on its own. */
function stream(sales: Sales, response: ServerResponse): void {
  let waiting: NodeJS.Timeout | undefined
  const send = () => {
    waiting = undefined
    response.write(`data: ${JSON.stringify(sales.figures)}\n\n`)
  }
  const deaf = sales.listen(() => {
    waiting ??= setTimeout(send, pauseMs)
  })
  response.once('close', () => {
    deaf()
    clearTimeout(waiting)
  })
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  send()
}
