// What each major version of Prisma has, and what is tested with it: the suites leave tests out by this, and docs/reference/compatibility.md
// shows it.

/** The versions that tests run with, one of each major. */
export const majors = ['Prisma 6.19', 'Prisma 7.10', 'Prisma 8'] as const
export type Major = (typeof majors)[number]

/** What not every version has. */
export const features = {
  extensions: 'client extensions: `$extends(outbox())`',
  arrayForm: 'the array form `$transaction([…])`, in which enqueue is refused',
  nested: 'nested transactions (savepoints), from 7.5 on',
  models: 'models of the outbox in the client',
  functionForm: '`enqueue(tx, …)` in transactions of a client without the outbox',
  settings: 'isolation level and timeout as settings of a transaction',
  adapters: 'driver adapters',
} as const
export type Feature = keyof typeof features

const lacks: Readonly<Record<Major, readonly Feature[]>> = {
  'Prisma 6.19': ['nested'],
  'Prisma 7.10': [],
  'Prisma 8': ['extensions', 'arrayForm', 'nested', 'models', 'functionForm', 'settings', 'adapters'],
}

/** What is tested with several versions. Where one is left out, nothing of its own is at work. */
export const parts = {
  enqueue: { what: 'messages, catalogs, order, wake-up', with: majors },
  once: { what: '`inbox.once`', with: majors },
  inbox: { what: '`createInbox`', with: majors },
  deadLetters: {
    what: '`createInbox`: dead letters, failed commits, trouble of the database',
    with: ['Prisma 7.10', 'Prisma 8'],
  },
  projection: { what: '`createProjection`', with: ['Prisma 7.10', 'Prisma 8'] },
  testing: { what: '`./testing`', with: majors },
  doctor: { what: '`doctor --client`', with: majors },
} as const satisfies Record<string, { what: string; with: readonly Major[] }>
export type Part = keyof typeof parts

/** Whether the version has the feature. */
export const has = (major: Major, feature: Feature): boolean => !lacks[major].includes(feature)

/** The versions that a suite runs with; tells those that it leaves out. */
export function testedWith(part: Part): readonly Major[] {
  const tested: readonly Major[] = parts[part].with
  for (const major of majors.filter((one) => !tested.includes(one)))
    console.log(
      `Left out with ${major}, for time: ${parts[part].what}. What is asked of the client is tested with it: ${parts.inbox.what}.`,
    )
  return tested
}

/** Tells that tests are left out with a version, and why. */
export const leftOut = (major: Major, feature: Feature): void =>
  console.log(`Left out with ${major}, which lacks it: ${features[feature]}.`)
