import { join } from 'node:path'
import { proveCommand } from '../../src/cli/prove.ts'
import { mutantNamed } from '../mutants/list.ts'
import { mutatedSources } from '../mutants/mutant.ts'

/** `prove` with a broken relay in the place of the package's own: `tsx prove-broken.ts MUTANT [flags]`. */
const [name, ...args] = process.argv.slice(2)
const sources = await mutatedSources(name!, mutantNamed(name!))
await proveCommand([process.execPath, '--import', 'tsx', join(sources, 'cli', 'main.ts'), 'relay']).parseAsync(args, {
  from: 'user',
})
process.exit()
