import { readFileSync } from 'node:fs'
import { OutboxError } from '../../message/errors.ts'
import { findOptional, loadOptional } from '../../running/optional-package.ts'

/** The package behind the transport, an optional peer dependency. */
const name = '@platformatic/kafka'

/** Loads the package; once, however often it is called. */
export const loadPackage = () => loadOptional<typeof import('@platformatic/kafka')>(name)

/**
 * Why this version of the package cannot be used on this version of Node; undefined if it can.
 *
 * 1.35 is the last line for Node 20, and 2.x does not run there (`Promise.withResolvers`); before 2.12.1 a broken connection could stay
 * in use.
 *
 * @example unsuitable('1.35.0', '20.20.2')  // undefined
 * @example unsuitable('2.12.1', '20.20.2')  // 'It needs Node 22 or newer.'
 */
export function unsuitable(version: string, node: string): string | undefined {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10))
  if (major === 1 && minor === 35) return undefined
  const known = major === 2 && (minor > 12 || (minor === 12 && patch >= 1))
  if (!known) return 'Neither 1.35 nor 2.12.1 or newer.'
  return Number.parseInt(node, 10) < 22 ? 'It needs Node 22 or newer.' : undefined
}

/** Throws OUTBOX_TRANSPORT_PACKAGE if the package is missing or does not suit this version of Node. Loads nothing of it. */
export function checkPackage(resolve: (name: string) => string = findOptional): void {
  const install = `Run "npm install ${name}@${Number.parseInt(process.versions.node, 10) < 22 ? '1.35.0' : '2'}", or use the kafkajs transport.`
  let entry: string
  try {
    entry = resolve(name)
  } catch (cause) {
    const what = `The platformatic transport needs the package ${name}, which is not installed.`
    throw new OutboxError('TRANSPORT_PACKAGE', what, { field: 'transport', remedy: install, cause })
  }
  // package.json is no export of the package.
  const manifest = `${entry.slice(0, entry.lastIndexOf(name) + name.length)}/package.json`
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }
  const reason = unsuitable(version, process.versions.node)
  if (reason === undefined) return
  const what = `${name} ${version} cannot be used with Node ${process.versions.node}. ${reason}`
  throw new OutboxError('TRANSPORT_PACKAGE', what, { field: 'transport', remedy: install })
}
