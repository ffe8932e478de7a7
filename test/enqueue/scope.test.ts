import { expect, test } from 'vitest'
import { currentScope, Scope, scopeOf } from '../../src/enqueue/scope.ts'

const home = { table: { schema: 'public', table: 'outbox' }, maxBytes: 1, events: undefined, owner: undefined }

test('a Prisma that tells no id of its transactions still has a scope: the one in whose callback the code runs', async () => {
  const [one, two] = [new Scope(home), new Scope(home)]
  const seen = await Promise.all([one, two].map((scope) => scope.run(async () => scopeOf(undefined))))
  expect(seen[0]).toBe(one)
  expect(seen[1]).toBe(two)
  expect(scopeOf(undefined)).toBeUndefined()
})

test('a scope is found by its id from everywhere, until it is over', async () => {
  const scope = new Scope(home, 'tx-1')
  let end = () => {}
  const run = scope.run(
    () =>
      new Promise<void>((resolve) => {
        end = resolve
      }),
  )
  expect(scopeOf('tx-1')).toBe(scope)
  expect(currentScope()).toBeUndefined()
  end()
  await run
  expect(scopeOf('tx-1')).toBeUndefined()
})

test('a callback that throws before its first await ends its scope', async () => {
  const scope = new Scope(home, 'tx-2')
  const failing = scope.run(() => {
    throw new Error('at once')
  })
  await expect(failing).rejects.toThrow('at once')
  expect([scope.isOpen, scopeOf('tx-2')]).toEqual([false, undefined])
})
