import { setTimeout } from 'node:timers/promises'
import { linkOf, type Tracer, traceApi } from '../message/trace.ts'
import type { RelayEventSource, RelayEvents } from '../relay/telemetry.ts'
import { watching } from '../running/emitter.ts'
import { version } from '../version.ts'

/** `SpanKind.CLIENT`: the context that consumers see is that of the enqueueing span, not of this one. */
const client = 2
/** `SpanStatusCode.ERROR` */
const failed = 2

/**
 * Makes a span `send <topic>` of each publish, after OpenTelemetry's conventions for messaging. It is a trace of its own with a link to
 * each span that enqueued a message of the batch. Needs an SDK that is registered by then, before or after this call; without one it does
 * nothing. The returned function ends it.
 *
 * @example
 * ```ts
 * const off = relayTraces(relay)
 * ```
 */
export function relayTraces(source: RelayEventSource): () => void {
  const relay = watching(source)
  const off = [relay.on('published', (sent) => send(sent)), relay.on('publish_failed', (sent) => send(sent, sent.code))]
  return () => {
    for (const one of off) one()
  }
}

/** Lets the SDK send what it has gathered, for a program that is about to end. Gives up after `ms`: a collector may be gone for good. */
export async function flushTraces(ms: number): Promise<void> {
  const flushed = traceApi()?.trace?.getDelegate?.().forceFlush?.()
  // Spans that could not be sent are the SDK's to tell.
  if (flushed) await Promise.race([flushed.catch(() => {}), setTimeout(ms, undefined, { ref: false })])
}

type Sent = Pick<RelayEvents['published'], 'topic' | 'partition' | 'records' | 'ms' | 'traces'>

function send({ topic, partition, records, ms, traces }: Sent, error?: string): void {
  // Asked each time: a program may register its SDK late, and the SDK gives the same tracer again.
  const tracer: Tracer | undefined = traceApi()?.trace?.getTracer('prisma-extension-outbox', version)
  if (!tracer) return
  const end = Date.now()
  const span = tracer.startSpan(`send ${topic}`, {
    // In a program that has a span active, the relay's work is still no part of that.
    root: true,
    kind: client,
    startTime: end - ms,
    attributes: {
      'messaging.system': 'kafka',
      'messaging.operation.type': 'send',
      'messaging.operation.name': 'send',
      'messaging.destination.name': topic,
      'messaging.destination.partition.id': String(partition),
      // By the conventions not for a single message.
      ...(records > 1 ? { 'messaging.batch.message_count': records } : {}),
      ...(error === undefined ? {} : { 'error.type': error }),
    },
    links: traces.map((traceparent) => ({ context: linkOf(traceparent) })),
  })
  if (error !== undefined) span.setStatus({ code: failed })
  span.end(end)
}
