import { describe, expect, it } from 'vitest'
import { Fuse } from '../../src/transport/fuse.ts'

const inMs = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

describe('a batch', () => {
  it('is let through in time, and its outcome is unknown when the time to wait is over', async () => {
    const begun = performance.now()
    const fuse = new Fuse(20, { waitMs: 100 })
    expect(fuse.pass('batch')).toBe('batch')
    expect(await fuse.blown).toMatchObject({ kind: 'unknown', code: 'TIMEOUT' })
    expect(performance.now() - begun).toBeGreaterThanOrEqual(99)
  })

  it('is not let through after the time to send, however long it may be waited for', async () => {
    const fuse = new Fuse(20, { waitMs: 60_000 })
    expect(await fuse.blown).toMatchObject({ kind: 'not-written', scope: 'producer', code: 'TIMEOUT' })
    expect(() => fuse.pass('batch')).toThrow('Too late')
    expect(fuse.late).toBe(true)
  })

  it('is waited for as much longer as the broker asks', async () => {
    const begun = performance.now()
    const fuse = new Fuse(50)
    fuse.pass('batch')
    fuse.extend(150)
    await fuse.blown
    expect(performance.now() - begun).toBeGreaterThanOrEqual(199)
  })

  it.each([
    ['unknown', true],
    ['not-written', false],
  ])('that is given up is %s', async (kind, sent) => {
    const giveUp = new AbortController()
    const fuse = new Fuse(60_000, { giveUp: giveUp.signal })
    if (sent) fuse.pass('batch')
    giveUp.abort()
    expect(await fuse.blown).toMatchObject({ kind })
  })

  it('whose send has ended does not blow', async () => {
    const giveUp = new AbortController()
    const fuse = new Fuse(10, { giveUp: giveUp.signal })
    fuse.end()
    giveUp.abort()
    expect(await Promise.race([fuse.blown, inMs(50)])).toBeUndefined()
  })
})
