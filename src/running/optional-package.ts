import { createRequire } from 'node:module'

// Packages that an application installs only if it uses what needs them. Used by the transports and codecs. No literal name stands in an import() or
// require() of theirs: a bundler would follow it, and fail where the package is not installed. A bundle loads them when it runs.

/** This file; undefined in a CommonJS bundle. The CommonJS build has `__filename` here. */
const here: string | undefined = import.meta.url

/** In a bundle packages are searched for beside the program. */
const requireHere = (): NodeJS.Require => createRequire(here ?? process.argv[1] ?? process.execPath)

/** Path of the package's entry. Throws if it is not installed. */
export const findOptional = (name: string): string => requireHere().resolve(name)

/** Loads the package. */
export const loadOptional = <T>(name: string): Promise<T> =>
  import(/* @vite-ignore */ /* webpackIgnore: true */ /* turbopackIgnore: true */ name)

/** Loads a package that is CommonJS, at once. Throws if it is not installed. */
export const requireOptional = <T>(name: string): T => requireHere()(name) as T
