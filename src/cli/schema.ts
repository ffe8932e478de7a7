import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { Command } from 'commander'
import type { Catalog } from '../events/catalog.ts'
import { OutboxError } from '../message/errors.ts'
import { inOneLine } from '../ops/format.ts'
import { checkEvents, type Finding } from '../schema-compat/check.ts'
import { type Lock, lockOf, lockText, parseLock } from '../schema-compat/lock.ts'
import { exitCodes } from './exit-codes.ts'
import { prismaHelp } from './help.ts'
import { loadModule } from './module.ts'
import { print, printJson } from './print.ts'

interface SchemaFlags {
  events: string
  lock: string
  accept?: string
  git?: string
  json?: boolean
}

/** The command `schema`, with `lock` and `check`. */
export function schemaCommand(): Command {
  const command = new Command('schema')
    .description('Keep the schemas of the events in a lock file, and check what a change of them breaks')
    .argument('<lock|check>', 'Write the lock file, or compare it with the events')
    .option('--events <path>', 'Module that exports the catalog', 'src/events.ts')
    .option('--lock <path>', 'Lock file', 'events.lock.json')
    .option('--accept <reason>', 'For lock: write it although something breaks, and keep the reason in the file')
    .option('--git <ref>', 'For check: compare with the lock file of that commit or branch')
    .option('--json', 'Findings as JSON')
    .action(async (action: string, flags: SchemaFlags) => {
      if (action === 'lock') return lockEvents(flags)
      if (action === 'check') return check(flags)
      const remedy = 'Use "schema lock" or "schema check".'
      throw new OutboxError('INVALID_OPTION', 'The command schema has no such action.', { field: 'schema', remedy })
    })
  return prismaHelp(command, [
    ['Write the lock file, to be committed with the code', 'lock'],
    ['In continuous integration: what breaks against the main branch?', 'check --git origin/main'],
  ])
}

/** Writes the lock file, unless that would break something that is locked. */
async function lockEvents(flags: SchemaFlags): Promise<void> {
  const before = existsSync(flags.lock) ? parseLock(readFileSync(flags.lock, 'utf8'), flags.lock) : undefined
  const accepted = before?.accepted ?? []
  const present = lockOf(await loadCatalog(flags.events), accepted)
  const breaks = before ? checkEvents(before, present).filter(({ level }) => level === 'break') : []
  if (breaks.length > 0 && flags.accept === undefined) return tell(breaks, flags)
  const wanted = breaks.map((finding) => ({ finding: sentence(finding), reason: flags.accept! }))
  writeFileSync(flags.lock, lockText({ ...present, accepted: [...accepted, ...wanted] }))
  const names = Object.keys(present.events)
  if (flags.json === true) printJson([])
  else print(inOneLine(`${flags.lock} holds ${names.length} ${names.length === 1 ? 'event' : 'events'}: ${names.join(', ')}.`))
}

/** Compares the events with what is locked, and fails where something breaks. */
async function check(flags: SchemaFlags): Promise<void> {
  tell(checkEvents(lockedBefore(flags), lockOf(await loadCatalog(flags.events))), flags)
}

function tell(findings: readonly Finding[], { json, lock }: SchemaFlags): void {
  if (json === true) printJson(findings)
  else print(findings.length === 0 ? inOneLine(`The events are as ${lock} has them.`) : findings.map(paragraph).join('\n'))
  if (findings.some(({ level }) => level === 'break')) process.exitCode = exitCodes.failed
}

/** One finding for people. */
const paragraph = (finding: Finding) => `${marks[finding.level]} ${inOneLine(sentence(finding))}\n  ${inOneLine(finding.remedy)}`

const marks = { break: '✗', warning: '!', new: '+' }

function sentence({ type, version, path, reason, breaks }: Finding): string {
  const subject = `${type}${version === null ? '' : ` version ${version}`}${path === null ? '' : `, ${path}`}`
  return `${subject}: ${reason}.${breaks === 'nobody' ? '' : ` Breaks ${breaks}.`}`
}

function lockedBefore({ lock, git }: SchemaFlags): Lock {
  if (git === undefined) {
    if (existsSync(lock)) return parseLock(readFileSync(lock, 'utf8'), lock)
    throw new OutboxError('NOT_FOUND', `There is no ${lock}.`, {
      field: 'lock',
      remedy: 'Write it with "schema lock" and commit it.',
    })
  }
  return parseLock(inCommit(git, lock), `${lock} of ${git}`)
}

/** The file as a commit has it. A ref that begins with a dash would be taken for a flag of git. */
function inCommit(ref: string, path: string): string {
  const remedy = 'Name a commit or branch that this clone has, with the lock file in it; a shallow clone may lack it.'
  if (ref.startsWith('-'))
    throw new OutboxError('INVALID_OPTION', '--git must be a commit or a branch.', { field: '--git', remedy })
  try {
    const inside = path.startsWith('/') || path.startsWith('.') ? path : `./${path}`
    return execFileSync('git', ['show', `${ref}:${inside}`], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  } catch (cause) {
    throw new OutboxError('NOT_FOUND', `Git does not give ${path} of ${ref}.`, { field: 'git', remedy, cause })
  }
}

/** The catalog that a module of the application exports. Throws NOT_FOUND and INVALID_OPTION. */
async function loadCatalog(path: string): Promise<Catalog> {
  const found = Object.values(await loadModule(path, 'events')).filter(isCatalog)
  if (found.length === 1) return found[0]!
  const what = `${path} exports ${found.length === 0 ? 'no catalog' : `${found.length} catalogs`}`
  throw new OutboxError('INVALID_OPTION', `${what}.`, {
    field: 'events',
    remedy: 'Export one catalog: export const events = defineEvents({ … }).',
  })
}

/** By its shape: the module may have its own copy of this package. */
function isCatalog(value: unknown): value is Catalog {
  return (
    typeof value === 'object' && value !== null && 'events' in value && typeof (value as Partial<Catalog>).find === 'function'
  )
}
