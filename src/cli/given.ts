import { readFileSync } from 'node:fs'
import { OutboxError } from '../message/errors.ts'
import { defaultText, type Setting } from '../running/setting.ts'
import { type SettingName, type SettingValue, settings } from './settings.ts'

/** Flags as commander hands them over. */
export type Flags = Record<string, unknown>

/** Environment variables. */
export type Environment = Record<string, string | undefined>

/** Settings as a command line and its environment give them; a flag wins. Throws INVALID_OPTION. */
export interface Given {
  /** The checked value; undefined: not given. */
  read<N extends SettingName>(name: N): SettingValue<N> | undefined
  /** As `read`; refuses a setting that is missing. */
  need<N extends SettingName>(name: N): SettingValue<N>
  /** The error of a wrong setting. Names the flag or variable that was given, never its value. */
  refuse(name: SettingName, what: string, remedy?: string): OutboxError
}

/** Reads settings from flags, variables, and the files of secrets. */
export function given(flags: Flags, env: Environment): Given {
  const refuse: Given['refuse'] = (name, what, remedy) => {
    const as = sourceOf(name, flags, env)?.as
    const { env: field } = settings[name]
    return new OutboxError('INVALID_OPTION', `${as ?? field} ${what}.`, { field, remedy: remedy ?? remedyOf(settings[name], as) })
  }
  const read: Given['read'] = (name) => {
    const source = sourceOf(name, flags, env)
    if (!source) return undefined
    const { values, env: variable, secret }: Setting = settings[name]
    if (source.as === variable && secret && env[`${variable}_FILE`]) {
      throw refuse(name, `is given twice: as ${variable} and as ${variable}_FILE`, 'Remove one of them.')
    }
    const text = source.text ?? fileText(source.path!, (what) => refuse(name, what))
    const { success, data } = values.check.safeParse(values.fromText(text))
    if (!success) throw refuse(name, `must be ${values.must}`)
    return data as SettingValue<typeof name>
  }
  const need: Given['need'] = (name) => {
    const value = read(name)
    if (value === undefined) throw refuse(name, 'is missing')
    return value
  }
  return { read, need, refuse }
}

/** Variables of the package that are no settings. */
const others = ['OUTBOX_TRANSPORT_PACKAGE', 'OUTBOX_COMPRESSION_PACKAGE', 'OUTBOX_TEST_DATABASE']

/** What Kubernetes gives every container for a Service whose name begins with "outbox". */
const ofService = /_(SERVICE_(HOST|PORT)|PORT)(_|$)/

/** Variables that look like settings and are none, as a misspelled one does. */
export function ignoredVariables(env: Environment): string[] {
  const known = new Set(others)
  for (const { env: name, secret } of Object.values<Setting>(settings)) {
    known.add(name)
    if (secret) known.add(`${name}_FILE`)
  }
  return Object.keys(env).filter((name) => name.startsWith('OUTBOX_') && !known.has(name) && !ofService.test(name))
}

/** What a setting was given by, and its text or the file that holds it. */
interface Source {
  as: string
  text?: string
  path?: string
}

const nameOf = (flag: string): string => flag.split(' ')[0]!

/** Flags first. */
function sourceOf(name: SettingName, flags: Flags, env: Environment): Source | undefined {
  const { flag, fileFlag, env: variable, secret }: Setting = settings[name]
  const [text, path] = [flags[name], flags[`${name}File`]]
  if (flag !== undefined && text !== undefined) return { as: nameOf(flag), text: String(text) }
  if (fileFlag !== undefined && path !== undefined) return { as: nameOf(fileFlag), path: String(path) }
  if (env[variable]) return { as: variable, text: env[variable] }
  const file = secret && env[`${variable}_FILE`]
  return file ? { as: `${variable}_FILE`, path: file } : undefined
}

/** What to do about a wrong value, or about a setting that is missing. */
function remedyOf(setting: Setting, as: string | undefined): string {
  const { env, flag } = setting
  if (as === undefined) return `Set ${env}${flag === undefined ? '' : `, or give ${nameOf(flag)}`}.`
  const otherwise = defaultText(setting)?.replaceAll('`', '')
  return `Correct it${otherwise === undefined ? '' : `, or leave it out: the default is ${otherwise}`}.`
}

/** The text of a file without the end of its last line. The errors do not name the path: it may be the secret itself. */
function fileText(path: string, refuse: (what: string) => OutboxError): string {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw refuse(`names a file that cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
  const value = text.replace(/\r?\n$/, '')
  if (value === '') throw refuse('names a file without a value')
  return value
}
