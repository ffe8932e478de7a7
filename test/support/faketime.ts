import { existsSync } from 'node:fs'

/** Debian's package `faketime`. */
const library = '/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1'

/** Whether it is installed. */
export const hasFaketime: boolean = existsSync(library)

/** Environment of a process whose wall clock goes by what the file says, such as `+600s`; its monotonic clock stays right. */
export const faketime = (file: string): Record<string, string> => ({
  LD_PRELOAD: library,
  FAKETIME_TIMESTAMP_FILE: file,
  FAKETIME_DONT_FAKE_MONOTONIC: '1',
  FAKETIME_NO_CACHE: '1',
})
