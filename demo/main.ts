import { randomBytes } from 'node:crypto'
import { generateShop } from '../test/support/generate.ts'
import { readOptions, usage } from './options.ts'

// npm run demo: the shop at work, or with --naive the reason for this package.

/** Exit codes: 0 every placed order is in the topic, 1 not so, 2 a wrong option or no servers. */
async function main(): Promise<number> {
  const options = readOptions(process.argv.slice(2))
  if (options === 'help') {
    console.log(usage)
    return 0
  }
  // Both before the shop is loaded: its Prisma client must be there, and the topic must be this run's own.
  await generateShop()
  process.env.ORDERS_TOPIC ??= `orders_${randomBytes(4).toString('hex')}`
  const { compare } = await import('./naive/compare.ts')
  const { runShop } = await import('./play.ts')
  return (await (options.naive ? compare : runShop)(options)) ? 0 : 1
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = 2
}
