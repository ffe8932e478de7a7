import { context, propagation, trace } from '@opentelemetry/api'
import { InMemorySpanExporter, NodeTracerProvider, type ReadableSpan, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node'
import { onTestFinished } from 'vitest'

/** Spans that ended so far, by their name, of an SDK that is registered until the test is over. */
export function keepSpans(options: Parameters<NodeTracerProvider['register']>[0] = {}) {
  const exporter = new InMemorySpanExporter()
  const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  provider.register(options)
  onTestFinished(() => {
    for (const api of [context, propagation, trace]) api.disable()
  })
  return {
    provider,
    named: (name: string): ReadableSpan[] => exporter.getFinishedSpans().filter((span) => span.name === name),
  }
}
