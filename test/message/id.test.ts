import { expect, test } from 'vitest'
import { checkId, uuidv7 } from '../../src/message/id.ts'
import { refusal } from './refusal.ts'

test('a UUIDv7 is built as the example of RFC 9562, appendix A.6', () => {
  const random = new Uint8Array([0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f])
  expect(uuidv7(0x017f22e279b0, random)).toBe('017f22e2-79b0-7cc3-98c4-dc0c0c07398f')
})

test('version and variant stand whatever the random bits are', () => {
  expect(uuidv7(0, new Uint8Array(10).fill(0xff))).toBe('00000000-0000-7fff-bfff-ffffffffffff')
  expect(uuidv7(0, new Uint8Array(10))).toBe('00000000-0000-7000-8000-000000000000')
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
