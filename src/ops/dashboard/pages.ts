import { readFileSync } from 'node:fs'
import { isOutboxError } from '../../message/errors.ts'
import type { RelayEventSource } from '../../relay/telemetry.ts'
import { postgresOperator } from '../../store/postgres/operator.ts'
import type { LivenessCheck } from '../liveness.ts'
import type { Answer, Page } from '../server.ts'
import { dead } from './dead.ts'
import { type Content, framed, listRefreshMs } from './frame.ts'
import { History } from './history.ts'
import { html } from './html.ts'
import { message } from './message.ts'
import { messages } from './messages.ts'
import { Busy, OperatorOnDemand } from './on-demand.ts'
import { overview } from './overview.ts'
import { Standing } from './standing.ts'
import { stateNow } from './state.ts'

/** What the dashboard shows, and where it looks. */
export interface DashboardOptions {
  /** Name of the relay. */
  name: string
  relay: RelayEventSource
  /** Lease time of the relay in milliseconds. */
  leaseMs: number
  liveness: LivenessCheck
  /** `postgresql://…`, as the relay's. */
  databaseUrl: string
  schema?: string | undefined
  /** As the relay's. */
  tablePrefix?: string | undefined
  /** Also shows header values and payloads. */
  payload: boolean
  /** Brokers for the commands that help, as `bootstrapServers` gives them. */
  servers: string
}

/** Milliseconds that one statement of a page may take. */
const statementTimeoutMs = 2_000

/** Files that every page loads; they are shipped as they are. */
const files = [
  ['/dashboard.css', 'text/css; charset=utf-8', 'dashboard.css'],
  ['/dashboard.js', 'text/javascript; charset=utf-8', 'dashboard.js'],
  ['/icon.svg', 'image/svg+xml', 'icon.svg'],
] as const

/** The pages of the dashboard, and what closes its connection. Make them before the relay starts. */
export function dashboardPages(options: DashboardOptions): { pages: Record<string, Page>; close: () => void } {
  const { name, relay, leaseMs, liveness, databaseUrl, schema, tablePrefix, payload, servers } = options
  const [standing, history] = [new Standing(relay, leaseMs), new History(relay)]
  const state = () => stateNow({ liveness, standing, servers })
  const operator = new OperatorOnDemand(() =>
    postgresOperator({ databaseUrl, schema, tablePrefix, timeoutMs: statementTimeoutMs }),
  )
  const ask: OperatorOnDemand['ask'] = (what) => operator.ask(what)
  const page = (of: Pick<Content, 'title' | 'at'>, secluded: boolean, content: (url: URL) => Promise<Content>): Page => ({
    open: false,
    secluded,
    answer: async (url) => framed(name, await content(url).catch((error) => failed(of, error)), state()),
  })
  return {
    pages: {
      '/': page({ title: 'Overview', at: '/' }, false, async () => overview({ state: state(), standing, history })),
      '/messages': page({ title: 'Messages', at: '/messages' }, true, (url) => messages(url, ask, servers)),
      '/message': page({ title: 'Message', at: '/messages' }, true, (url) => message(url, ask, { payload, servers })),
      '/dead': page({ title: 'Dead', at: '/dead' }, true, () => dead(ask)),
      ...Object.fromEntries(files.map(([path, type, file]) => [path, fileOf(type, file)])),
    },
    close: () => operator.close(),
  }
}

/** A shipped file, read once. */
function fileOf(type: string, file: string): Page {
  const body = readFileSync(new URL(`../../../ops/dashboard/${file}`, import.meta.url), 'utf8')
  const answer: Answer = { status: 200, type, body }
  return { open: false, answer: () => answer }
}

/** Says why the database gave no answer, in words of this package or by a code: what a driver says may hold anything. */
function failed(of: Pick<Content, 'title' | 'at'>, error: unknown): Content {
  const { code } = error as { code?: unknown }
  const why = isOutboxError(error)
    ? error.message
    : error instanceof Busy
      ? 'Too many pages are asked for at once.'
      : `The database did not answer in time, or refused (${typeof code === 'string' ? code : 'no code'}).`
  return {
    ...of,
    status: 503,
    ...(of.title === 'Message' ? {} : { refreshMs: listRefreshMs }),
    main: html`<p class="bad" role="alert">${why}</p><p>Try again, narrow the filter, or use the command line.</p>`,
  }
}
