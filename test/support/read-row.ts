import { bucketOf } from '../../src/message/key.ts'
import type { OutboxRow } from '../../src/store/store.ts'

const key = Buffer.from('k')

/** A row of topic `t` as the store gives it, of the key `k` and so in its bucket, but for what is given. */
export const readRow = (given: Partial<OutboxRow> & { id: number }): OutboxRow => ({
  bucket: bucketOf('t', key),
  messageId: `message-${given.id}`,
  topic: 't',
  type: null,
  key,
  value: Buffer.from('{}'),
  headers: null,
  createdAt: 0,
  bytes: 3,
  oversized: false,
  ...given,
})
