/** A context of OpenTelemetry, as far as it is handed on. */
export interface TraceContext {
  getValue(key: symbol): unknown
  setValue(key: symbol, value: unknown): TraceContext
  deleteValue(key: symbol): TraceContext
}

/** A span that was started. */
export interface TraceSpan {
  end(endTime: number): void
}

/** What starts spans. Times are milliseconds since 1970; `kind` and `code` are numbers of the API's enumerations. */
export interface Tracer {
  startSpan(
    name: string,
    options: {
      root: boolean
      kind: number
      startTime: number
      attributes: Record<string, string | number>
      links: { context: { traceId: string; spanId: string; traceFlags: number; isRemote: boolean } }[]
    },
  ): TraceSpan & { setStatus(status: { code: number }): unknown }
}

/** What an OpenTelemetry SDK has registered with the API; a part is missing where the SDK has none. */
export interface TraceApi {
  context?: {
    active(): TraceContext
    with<T>(context: TraceContext, run: () => T): T
  }
  propagation?: {
    inject(context: TraceContext, carrier: Record<string, string>, setter: Setter): void
    extract(context: TraceContext, carrier: MessageHeaders, getter: Getter): TraceContext
  }
  trace?: {
    getTracer(name: string, version: string): Tracer
    /** The SDK's own provider, behind the one of the API. */
    getDelegate?(): { forceFlush?: () => Promise<void> }
  }
}

interface Setter {
  set(carrier: Record<string, string>, name: string, value: string): void
}

interface Getter {
  keys(carrier: MessageHeaders): string[]
  get(carrier: MessageHeaders, name: string): string | undefined
}

/** Headers of a consumed message, as kafkajs gives them. */
export interface MessageHeaders {
  [name: string]: Uint8Array | string | (Uint8Array | string)[] | undefined
}

/**
 * What is registered; undefined where no SDK is. The API keeps it under this symbol for other copies of itself, the same in all versions
 * 1.x. Read there it needs no package: an application without OpenTelemetry loads nothing, and a bundler that made copies harms nothing.
 */
export const traceApi = (): TraceApi | undefined => (globalThis as { [registered]?: TraceApi })[registered]
const registered: unique symbol = Symbol.for('opentelemetry.js.api.1') as never

/** What W3C Trace Context allows: version, trace id, span id and flags. Ids of zeros mean none. */
const wellFormed = /^(?!ff)[\da-f]{2}-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})$/
/** Printable ASCII; longer ones may be dropped, says W3C. */
const shortState = /^[ -~]{1,512}$/

/**
 * The headers `traceparent` and `tracestate` of the span that is active now; none where no SDK is registered or no span is active. Other
 * headers of the registered propagator are left out: baggage may hold what must not reach every consumer.
 */
export function traceHeaders(): Record<string, string> {
  const { context, propagation } = traceApi() ?? {}
  const found: Record<string, string> = {}
  if (!context || !propagation) return found
  const carrier: Record<string, string> = {}
  try {
    propagation.inject(context.active(), carrier, setter)
  } catch {
    // A tracer that fails must not fail the transaction of an order.
  }
  const { traceparent, tracestate } = carrier
  // What the table could not hold would fail the INSERT.
  if (traceparent === undefined || !wellFormed.test(traceparent)) return found
  found.traceparent = traceparent
  if (tracestate !== undefined && shortState.test(tracestate)) found.tracestate = tracestate
  return found
}

/** Adds trace headers to a message's own. The user's, in any letter case, win: two would leave consumers the choice. */
export function addTrace(headers: Record<string, string>, trace: Readonly<Record<string, string>>): void {
  // Both or none: a state belongs to its parent.
  if (!Object.keys(headers).some((name) => /^trace(parent|state)$/i.test(name))) Object.assign(headers, trace)
}

/** Where a span links to: trace and span of the one that enqueued, by a `traceparent` that {@link tracesOf} gave. */
export function linkOf(traceparent: string): { traceId: string; spanId: string; traceFlags: number; isRemote: boolean } {
  const [traceId, spanId, flags] = [traceparent.slice(3, 35), traceparent.slice(36, 52), traceparent.slice(53)]
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
}

/**
 * Links of one span. A relay that keeps up has fewer messages than that in a batch. One that empties a backlog has hundreds, and
 * with spans of as many links as an SDK keeps (128, `LinkCountLimit`) traces and dashboard took a tenth of its work, before anything was exported.
 */
const mostLinks = 32

/** The `traceparent` of each of these headers, each once, and at most 32; what is none is left out, whatever its origin. */
export function tracesOf(rows: readonly { headers: Readonly<Record<string, string>> | null }[]): string[] {
  // A set would hash every one of them; two that differ do so in their first characters.
  const found: string[] = []
  for (const { headers } of rows) {
    if (found.length === mostLinks) break
    const traceparent = headers?.traceparent
    if (traceparent !== undefined && !found.includes(traceparent) && wellFormed.test(traceparent)) found.push(traceparent)
  }
  return found
}

const setter: Setter = {
  set(carrier, name, value) {
    carrier[name] = value
  },
}

const getter: Getter = {
  keys: (headers) => Object.keys(headers),
  get(headers, name) {
    const value = headers[name]
    const first = Array.isArray(value) ? value[0] : value
    return first === undefined ? undefined : typeof first === 'string' ? first : Buffer.from(first).toString()
  },
}

/**
 * Runs `handle` in the trace in which the message was enqueued, and gives its result: spans that it starts are children of the enqueueing
 * span. Without an SDK, or without trace headers, it only runs it.
 *
 * @example await continueTrace(message.headers, () => tracer.startActiveSpan('process orders', async (span) => { … }))
 */
export function continueTrace<T>(headers: MessageHeaders | undefined, handle: () => T): T {
  const { context, propagation } = traceApi() ?? {}
  if (!context || !propagation || !headers) return handle()
  return context.with(propagation.extract(context.active(), headers, getter), handle)
}
