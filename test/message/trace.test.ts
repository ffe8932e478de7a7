import { context, propagation, ROOT_CONTEXT, type TextMapPropagator, trace } from '@opentelemetry/api'
import { describe, expect, test } from 'vitest'
import { encodeMessage } from '../../src/message/message.ts'
import { continueTrace, linkOf, traceHeaders, tracesOf } from '../../src/message/trace.ts'
import { keepSpans } from '../support/spans.ts'

const traceId = 'a'.repeat(32)
const spanId = 'b'.repeat(16)
const parent = `00-${traceId}-${spanId}-01`

/** Runs in the context of a span that another process has. */
function within<T>(traceState: string | undefined, run: () => T): T {
  const carrier = { traceparent: parent, ...(traceState === undefined ? {} : { tracestate: traceState }) }
  return context.with(propagation.extract(ROOT_CONTEXT, carrier), run)
}

/** A propagator of the user's own, which writes these headers. */
const writes = (headers: Record<string, string>): TextMapPropagator => ({
  inject: (_, carrier, setter) => {
    for (const [name, value] of Object.entries(headers)) setter.set(carrier, name, value)
  },
  extract: (context) => context,
  fields: () => Object.keys(headers),
})

describe('the headers of the active span', () => {
  test('are none where no SDK is registered', () => {
    expect(traceHeaders()).toEqual({})
  })

  test('are none where no span is active', () => {
    keepSpans()
    expect(traceHeaders()).toEqual({})
  })

  test('are those of W3C, and no baggage', () => {
    keepSpans()
    const baggage = propagation.createBaggage({ user: { value: 'ada@example.com' } })
    within('vendor=1', () =>
      context.with(propagation.setBaggage(context.active(), baggage), () =>
        expect(traceHeaders()).toEqual({ traceparent: parent, tracestate: 'vendor=1' }),
      ),
    )
    expect(within(undefined, traceHeaders)).toEqual({ traceparent: parent })
  })

  test.each([
    ['an id of zeros', { traceparent: `00-${'0'.repeat(32)}-${spanId}-01` }, {}],
    ['no traceparent', { b3: `${traceId}-${spanId}-1`, tracestate: 'a=1' }, {}],
    ['a state that the table cannot hold', { traceparent: parent, tracestate: 'a=\0' }, { traceparent: parent }],
    ['a state that is too long', { traceparent: parent, tracestate: 'a='.padEnd(513, '1') }, { traceparent: parent }],
  ])('take nothing else from a propagator: %s', (_, written, kept) => {
    keepSpans({ propagator: writes(written) })
    expect(within(undefined, traceHeaders)).toEqual(kept)
  })

  test('are none where the propagator fails: the transaction goes on', () => {
    keepSpans({
      propagator: {
        ...writes({}),
        inject: () => {
          throw new Error('broken')
        },
      },
    })
    expect(traceHeaders()).toEqual({})
  })
})

describe('a message', () => {
  const stored = (headers?: Record<string, string>, maxBytes?: number) =>
    JSON.parse(
      encodeMessage({ topic: 't', payload: 1, headers }, { maxBytes, trace: { traceparent: parent, tracestate: 'a=1' } })
        .headers!,
    )

  test('carries its trace beside the headers of the user', () => {
    expect(stored({ tenant: 'x' })).toEqual({ tenant: 'x', traceparent: parent, tracestate: 'a=1' })
  })

  test.each(['traceparent', 'Traceparent', 'TraceState'])('keeps the %s that the user gave, and gets none of ours', (name) => {
    expect(stored({ [name]: 'mine' })).toEqual({ [name]: 'mine' })
  })

  test('is not refused for the size of its trace', () => {
    expect(stored({}, 1)).toHaveProperty('traceparent')
  })
})

test('of several rows each trace is named once, and what is none is not named', () => {
  const other = `00-${'c'.repeat(32)}-${spanId}-00`
  const rows = [parent, other, parent, 'secret', `${parent}-secret`].map((traceparent) => ({ headers: { traceparent } }))
  expect(tracesOf([...rows, { headers: null }, { headers: {} }])).toEqual([parent, other])
  const many = Array.from({ length: 200 }, (_, n) => ({
    headers: { traceparent: `00-${`${n}`.padStart(32, 'a')}-${'b'.repeat(16)}-01` },
  }))
  expect(tracesOf(many)).toEqual(many.slice(0, 32).map(({ headers }) => headers.traceparent))
  expect(linkOf(other)).toEqual({ traceId: 'c'.repeat(32), spanId, traceFlags: 0, isRemote: true })
})

describe('a consumer', () => {
  const active = () => trace.getSpanContext(context.active())

  test('goes on without an SDK, and without headers', () => {
    expect(continueTrace({ traceparent: parent }, () => 7)).toBe(7)
    keepSpans()
    expect(continueTrace(undefined, () => 8)).toBe(8)
    expect(within(undefined, () => continueTrace({ tenant: 'x' }, active))).toMatchObject({ traceId, spanId })
  })

  test.each([
    ['bytes', Buffer.from(parent), Buffer.from('a=1')],
    ['text', parent, 'a=1'],
    ['lists', [Buffer.from(parent), 'other'], ['a=1']],
  ])('is in the trace of the message, its headers given as %s', async (_, traceparent, tracestate) => {
    keepSpans()
    const found = await continueTrace({ traceparent, tracestate }, async () => {
      await Promise.resolve()
      return active()
    })
    expect(found).toMatchObject({ traceId, spanId, traceFlags: 1, isRemote: true })
    expect(found!.traceState!.get('a')).toBe('1')
    expect(active()).toBeUndefined()
  })

  test('is told when its handler fails', async () => {
    keepSpans()
    await expect(continueTrace({ traceparent: parent }, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  })
})
