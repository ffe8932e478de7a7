import { expect, test } from 'vitest'
import { outbox, withOutbox } from '../../src/index.ts'

test.each([
  ['none', undefined],
  ['a client of another library', { query: () => {} }],
])('the extension says in one sentence which client it needs, given %s', (_, client) => {
  const refused = expect.objectContaining({
    code: 'OUTBOX_INVALID_OPTION',
    field: 'client',
    message: expect.stringMatching(/^The outbox needs a PrismaClient of @prisma\/client 6\.16 to 7\. Run "npm install/),
  })
  expect(() => withOutbox(client as never)).toThrow(refused)
  expect(() => (outbox() as unknown as (client: unknown) => unknown)(client)).toThrow(refused)
})
