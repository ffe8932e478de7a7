import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** A package from the folder that RIVALS names. */
export const rival = (name: string) =>
  import(pathToFileURL(createRequire(join(process.env.RIVALS!, 'index.js')).resolve(name)).href)
