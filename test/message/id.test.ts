import { expect, test } from 'vitest'
import { checkId, uuidv7 } from '../../src/message/id.ts'
import { refusal } from './refusal.ts'

test('a UUIDv7 is built as the example of RFC 9562, appendix A.6', () => {
  expect(uuidv7(0x017f22e279b0, '00000000-0000-4cc3-98c4-dc0c0c07398f')).toBe('017f22e2-79b0-7cc3-98c4-dc0c0c07398f')
})

test('version and variant stand, and the time is that of the call', () => {
  const before = Date.now()
  const id = uuidv7()
  expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  const time = Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)
  expect(time).toBeGreaterThanOrEqual(before)
  expect(time).toBeLessThanOrEqual(Date.now())
})

test('ids of one millisecond differ', () => {
  const ids = new Set(Array.from({ length: 10_000 }, () => uuidv7(1)))
  expect(ids.size).toBe(10_000)
})

test('an id of any version is taken, in lower case as PostgreSQL gives it back', () => {
  expect(checkId('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 'id')).toBe('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')
})

test.each([['order-1'], [''], [7], [null], ['{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}']])('%j is not an id', (id) => {
  expect(refusal(() => checkId(id, 'id'))).toEqual({ code: 'OUTBOX_INVALID_ID', field: 'id' })
})
