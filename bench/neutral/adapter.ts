import { fileURLToPath, pathToFileURL } from 'node:url'
import type pg from 'pg'
import type { LogRecord } from '../../test/support/topics.ts'

/** What a run tells its adapter. */
export interface Context {
  /** Name of the run: of its database, and for slots and files. */
  id: string
  databaseUrl: string
  brokers: string
  topic: string
  partitions: number
  /** The word behind the colon of `--adapter`. */
  variant: string
  /** Folder for files of the run, and the file with the output of the relay. */
  folder: string
  log: string
}

/** One message of the load. */
export interface Message {
  id: number
  key: string
  /** Number of the message within its key, from 0. */
  seq: number
  payload: string
}

/** The one relay process of a run. It ends on SIGTERM. */
export interface RelayCommand {
  cmd: string
  args?: string[]
  env?: Record<string, string>
  cwd?: string
}

/** A relay as the benchmark sees it: README.md has the members. */
export interface Adapter {
  pgSettings?(variant: string): Record<string, string | number>
  setup(context: Context, client: pg.Client): Promise<unknown>
  preload(context: Context, client: pg.Client, source: string, size: { n: number; keys: number }): Promise<unknown>
  insert?(
    context: Context,
    message: Message,
    client: pg.PoolClient,
  ): pg.QueryConfig | undefined | Promise<pg.QueryConfig | undefined>
  afterCommit?(context: Context, pool: pg.Pool): void
  relay(context: Context): RelayCommand
  pending?(context: Context): string
  noRecords?(context: Context): boolean
  decode?(record: LogRecord): { i: number; k: string; s: number }
}

/** The file of an adapter: a name of the folder `adapters`, or a path. */
export function adapterFile(name: string): string {
  const inFolder = fileURLToPath(new URL(`./adapters/${name}.mjs`, import.meta.url))
  return name.includes('/') ? name : inFolder
}

/** Loads an adapter, which is the default export of its file. */
export async function loadAdapter(file: string): Promise<Adapter> {
  return (await import(pathToFileURL(file).href)).default as Adapter
}
