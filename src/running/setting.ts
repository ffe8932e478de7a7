// A setting, declared once as data: its check, its flag, its line of --help and its row of docs/reference/configuration.md come from
// here. The relay declares its options in relay/options.ts, the command line declares the others in cli/settings.ts.

import { z } from 'zod'

/** Values that a setting takes. */
export interface Values<T> {
  check: z.ZodType<T>
  /** For help and docs, with names in backticks; empty: any text. */
  range: string
  /** Completes the sentence "… must be". */
  must: string
  /** The value that a flag or a variable spells. Text that spells none stays text, and `check` refuses it. */
  fromText(text: string): unknown
}

/** One setting. */
export interface Setting<T = unknown> {
  /** Flag and name of its value: `--lease-ms <ms>`. Secrets have none: every user of the machine sees a process list. */
  flag?: string
  /** The environment variable that stands behind the flag. */
  env: string
  values: Values<T>
  default?: T
  /** The default in words, if it is not a constant. */
  otherwise?: string
  /** One sentence for help and docs, with names in backticks. */
  what: string
  /** More about it: a page below `docs`. */
  page?: string
  /** The variable with `_FILE` behind its name may hold the path of a file with the value. */
  secret?: true
  /** Flag for the path of that file. */
  fileFlag?: string
  /** The flag may come several times; its values are joined by commas, as in the variable. */
  repeatable?: true
}

type Rest<T> = Omit<Setting<T>, 'flag' | 'env' | 'values'>

/** Declares a setting. */
export const setting = <T, R extends Rest<T>>(
  flag: string | undefined,
  env: string,
  values: Values<T>,
  rest: R,
): R & Pick<Setting<T>, 'flag' | 'env' | 'values'> => ({ ...(flag === undefined ? {} : { flag }), env, values, ...rest })

/** Type of a setting's value. */
export type ValueOf<S extends Setting> = z.infer<S['values']['check']>

const thousands = (n: number): string => n.toLocaleString('en-US')

/** Whole numbers of a unit. */
export function integer(least: number, most: number, unit = ''): Values<number> {
  const range = `${thousands(least)} to ${thousands(most)} ${unit}`.trimEnd()
  const fromText = (text: string) => (/^\d+$/.test(text) ? Number(text) : text)
  return { check: z.number().int().min(least).max(most), range, must: `a whole number from ${range}`, fromText }
}

/** One of these names. */
export function oneOf<const N extends string>(...names: readonly N[]): Values<N> {
  const must = `one of ${names.join(', ')}`
  return { check: z.enum(names), range: names.map((name) => `\`${name}\``).join(', '), must, fromText: (text) => text }
}

/** Text that is not empty. */
export const text = (must: string, range = '', check = z.string().min(1)): Values<string> => ({
  check,
  range,
  must,
  fromText: (given) => given,
})

/** On or off; a flag without a value is on. */
export const onOff: Values<boolean> = {
  check: z.boolean(),
  range: '`true`, `false`',
  must: 'true or false',
  fromText: (given) => (given === 'true' ? true : given === 'false' ? false : given),
}

/** Text with a form of its own. */
export const parsed = <T>(must: string, check: z.ZodType<T>, fromText: (text: string) => unknown): Values<T> => ({
  check,
  range: must,
  must,
  fromText,
})

/** The default as help and docs show it; undefined: there is none. */
export const defaultText = (setting: Setting): string | undefined =>
  setting.otherwise ?? (setting.default === undefined ? undefined : `\`${setting.default}\``)
