import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { strip } from '../../../src/ops/dashboard/strip.ts'

describe('the colours', () => {
  const files = new URL('../../../ops/dashboard/', import.meta.url)
  const css = readFileSync(new URL('dashboard.css', files), 'utf8')
  const tokens = (block: string) =>
    Object.fromEntries([...block.matchAll(/--(\w+): (#\w+);/g)].map(([, name, colour]) => [name!, colour!]))
  const [light, dark] = [...css.matchAll(/:root \{([^}]*)\}/g)].map(([, block]) => tokens(block!))

  /** Contrast of two colours as WCAG 2.2 has it. */
  function contrast(one: string, other: string): number {
    const luminance = (colour: string) => {
      const digits = colour.length === 4 ? [...colour.slice(1)].map((digit) => digit + digit) : colour.slice(1).match(/../g)!
      const [red, green, blue] = digits.map((pair) => {
        const part = Number.parseInt(pair, 16) / 255
        return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
      })
      return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!
    }
    const [darker, lighter] = [luminance(one), luminance(other)].sort((a, b) => a - b)
    return (lighter! + 0.05) / (darker! + 0.05)
  }

  // A page shows few of them at a time: what is well, a second line, and a third relay are seen on other days than the browser's.
  test.each([
    ['light', light!],
    ['dark', dark!],
  ])('of the %s scheme are all there, and can be read', (_, scheme) => {
    expect(Object.keys(scheme).sort()).toEqual([...new Set([...css.matchAll(/var\(--(\w+)\)/g)].map(([, name]) => name!))].sort())
    for (const name of ['ink', 'soft', 'accent', 'bad', 'second']) {
      for (const ground of ['paper', 'panel']) {
        expect(contrast(scheme[name]!, scheme[ground]!), `${name} on ${ground}`).toBeGreaterThanOrEqual(4.5)
      }
    }
    for (const name of ['green', 'amber', 'red']) {
      expect(contrast(scheme[`${name}ink`]!, scheme[name]!), name).toBeGreaterThanOrEqual(4.5)
    }
  })

  test('of the marks of relays can be read, and are as many as relays have', () => {
    const marks = [...css.matchAll(/\.(relay-\d|strip \.expired) \{\s+background: (#\w+);\s+color: (#\w+);/g)]
    for (const [, name, ground, ink] of marks) expect(contrast(ground!, ink!), name).toBeGreaterThanOrEqual(4.5)
    const relays = Array.from({ length: 64 }, (_, bucket) => ({ bucket, relay: `relay-${bucket}`, expired: bucket === 63 }))
    const used = new Set([...String(strip(relays, [])).matchAll(/class="mark ([\w-]+)"/g)].map(([, look]) => look!))
    expect(marks.map(([, name]) => name!.replace('strip .', '')).sort()).toEqual([...used].sort())
  })
})
