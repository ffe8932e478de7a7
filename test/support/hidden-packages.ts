import Module from 'node:module'
import { onTestFinished } from 'vitest'

/** How Node finds and loads what is required. */
const loader = Module as unknown as Record<'_resolveFilename' | '_load', (name: string, ...more: unknown[]) => unknown>

/** Hides a package as if it were not installed, until the returned function is called or the test is over. */
export function hidePackage(hidden: string): () => void {
  const { _resolveFilename, _load } = loader
  const restore = () => void Object.assign(loader, { _resolveFilename, _load })
  for (const [step, before] of Object.entries({ _resolveFilename, _load })) {
    loader[step as '_load'] = (name, ...more) => {
      if (name !== hidden) return before.call(loader, name, ...more)
      throw Object.assign(new Error(`Cannot find module '${name}'`), { code: 'MODULE_NOT_FOUND' })
    }
  }
  onTestFinished(restore)
  return restore
}
