import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** A span as OTLP carries it, its attributes as an object. */
export interface CollectedSpan {
  name: string
  kind: number
  traceId: string
  parentSpanId?: string
  attributes: Record<string, unknown>
  links: { traceId: string; spanId: string }[]
  status: { code?: number }
}

type Attribute = { key: string; value: Record<string, unknown> }
type Received = {
  resourceSpans: { scopeSpans: { spans: (Omit<CollectedSpan, 'attributes'> & { attributes: Attribute[] })[] }[] }[]
}

/** What an OpenTelemetry SDK sends its spans to, by OTLP over HTTP as JSON. */
export interface Collector {
  url: string
  spans: CollectedSpan[]
  /** Everything that was received, as it came. */
  text: string[]
}

/** Starts a collector that lives until the test is over. */
export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = []
  const text: string[] = []
  const server = createServer(async (request, response) => {
    let body = ''
    for await (const part of request) body += part
    text.push(body)
    for (const { scopeSpans } of (JSON.parse(body) as Received).resourceSpans) {
      for (const span of scopeSpans.flatMap((scope) => scope.spans)) {
        const attributes = span.attributes.map(({ key, value }) => [key, Object.values(value)[0]])
        spans.push({ ...span, attributes: Object.fromEntries(attributes) })
      }
    }
    response.setHeader('content-type', 'application/json').end('{}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans, text }
}
