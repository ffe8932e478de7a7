// Packages of the measured relays are installed in a folder of their own: RIVALS=/folder/with/node_modules
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

export const rivalRequire = () => createRequire(join(process.env.RIVALS || process.cwd(), 'index.js'))
export const rival = async (name) => import(pathToFileURL(rivalRequire().resolve(name)).href)
