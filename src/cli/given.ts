import { readFileSync } from 'node:fs'
import { OutboxError } from '../message/errors.ts'
import type { Setting } from './settings.ts'

/** Flags as commander hands them over. */
export type Flags = Record<string, unknown>

/** Environment variables. */
export type Environment = Record<string, string | undefined>

/** The value of a setting: its flag, otherwise its variable, of a secret also the file that the variable with `_FILE` names. */
export function given(name: string, setting: Setting, flags: Flags, env: Environment): string | undefined {
  const flag = flags[name]
  if (typeof flag === 'string') return flag
  const [value, file] = [env[setting.env], setting.secret ? env[`${setting.env}_FILE`] : undefined]
  if (!file) return value === '' ? undefined : value
  if (value) throw wrong(setting, `is given twice: as ${setting.env} and as ${setting.env}_FILE`)
  return fromFile(setting, file)
}

/** The text of a file without the end of its last line. Names the variable, never the path: it may be the secret itself. */
function fromFile(setting: Setting, path: string): string {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw wrong(setting, `cannot be read from the file of ${setting.env}_FILE (${(error as NodeJS.ErrnoException).code})`)
  }
  const value = text.replace(/\r?\n$/, '')
  if (value === '') throw wrong(setting, `has no value in the file of ${setting.env}_FILE`)
  return value
}

/** As {@link given}. Throws INVALID_OPTION where there is none. */
export function required(name: string, setting: Setting, flags: Flags, env: Environment): string {
  const value = given(name, setting, flags, env)
  if (value === undefined || value === '') throw wrong(setting, 'is missing')
  return value
}

/** As {@link given}, a whole number. */
export function numberOf(name: string, setting: Setting, flags: Flags, env: Environment): number | undefined {
  const text = given(name, setting, flags, env)
  if (text === undefined) return undefined
  if (!/^\d+$/.test(text)) throw wrong(setting, 'must be a whole number')
  return Number(text)
}

/** Whether a setting is on: its flag is there, or its variable is true; undefined: neither says. */
export function isSet(name: string, setting: Setting, flags: Flags, env: Environment): boolean | undefined {
  if (flags[name] === true) return true
  const text = given(name, setting, flags, env)
  if (text !== undefined && text !== 'true' && text !== 'false') throw wrong(setting, 'must be true or false')
  return text === undefined ? undefined : text === 'true'
}

/** Names flag and variable, never the value. */
export function wrong(setting: Setting, what: string): OutboxError {
  const name = setting.flag === '' ? setting.env : `${setting.flag} (${setting.env})`
  return new OutboxError('INVALID_OPTION', `${name} ${what}.`, {
    field: setting.env,
    remedy: `Set ${setting.env}${setting.flag === '' ? '' : `, or give ${setting.flag}`}.`,
  })
}
