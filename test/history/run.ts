import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Judgement } from '../../src/proof/checks.ts'
import { randomFrom, usualShares, type WriterPlan } from '../../src/proof/draw.ts'
import { dumpTopics, proofKafka } from '../../src/proof/dump.ts'
import type { History, Rest, TopicState } from '../../src/proof/history.ts'
import { SqlWay } from '../../src/proof/sql-way.ts'
import { addLines, readLedger, startWriters, type Way, type Writers } from '../../src/proof/writers.ts'
import { mutantNamed } from '../mutants/list.ts'
import { Prisma8Way } from '../prisma8/way.ts'
import { Closing } from './closing.ts'
import { allFaults, namedFaults } from './faults.ts'
import { prepareGround, type TortureGround, topicPlan } from './ground.ts'
import { injectFaults } from './inject.ts'
import { judge } from './judge.ts'
import { kept } from './kept.ts'
import { Measure } from './measure.ts'
import type { TortureOptions } from './options.ts'
import { PrismaWay } from './prisma-way.ts'
import { drawSchedule, type Schedule } from './schedule.ts'
import { askThirdParty } from './third-party.ts'

/** A run with its judgement. */
export interface TortureResult {
  history: History
  judgement: Judgement
  /** Where the history lies; undefined when it was removed. */
  folder: string | undefined
}

/** Milliseconds without faults at the beginning: nothing may be sent twice, and what a message costs is measured. */
const calmMs = 8_000

/** Runs a torture from the first server to the judgement. `say` gets a line now and then. */
export async function torture(options: TortureOptions, say: (line: string) => void): Promise<TortureResult> {
  const folder = mkdtempSync(join(tmpdir(), 'outbox-torture-'))
  say(`history in ${folder}`)
  const random = randomFrom(options.seed)
  const schedule = scheduleOf(options)
  writeFileSync(join(folder, 'schedule.json'), JSON.stringify(schedule, null, 1))
  const history = await inClosing(async (closing) => {
    const ground = await prepareGround(options, folder, random, closing)
    return collect(options, schedule, ground, folder, closing, say)
  })
  const judgement = judge(history)
  writeFileSync(join(folder, 'judgement.json'), JSON.stringify(judgement, null, 1))
  const keep = options.keep || !judgement.sound
  if (!keep) await rm(folder, { recursive: true, force: true })
  return { history, judgement, folder: keep ? folder : undefined }
}

async function inClosing<T>(work: (closing: Closing) => Promise<T>): Promise<T> {
  await using closing = new Closing()
  return await work(closing)
}

function scheduleOf({ schedule, seed, faults, forMs, everyMs }: TortureOptions): Schedule {
  if (schedule !== undefined) return JSON.parse(readFileSync(schedule, 'utf8'))
  const unknown = (faults ?? []).filter((name) => !namedFaults.some((fault) => fault.name === name))
  if (unknown.length > 0)
    throw new Error(`Unknown: ${unknown.join(', ')}. Known: ${namedFaults.map(({ name }) => name).join(', ')}.`)
  const kinds = faults ? namedFaults.filter(({ name }) => faults.includes(name)) : allFaults
  return drawSchedule(seed, kinds, forMs, everyMs)
}

async function collect(
  options: TortureOptions,
  schedule: Schedule,
  ground: TortureGround,
  folder: string,
  closing: Closing,
  say: (line: string) => void,
): Promise<History> {
  const { relays: fleet, postgres, sql } = ground
  const query = async <R>(text: string, values: readonly unknown[]) => (await postgres.admin.query(text, [...values])).rows as R[]
  const plan = planOf(options, ground)
  await addLines(query, plan, sql)
  await fleet.scale(options.relays)
  await sharesTaken(ground, options.relays)
  const ways = waysOf(options, ground)
  closing.add(() => Promise.all(ways.map((way) => way.close())))
  const writers = startWriters(plan, ways, sql, ground.random, (attempt) => kept.attempt(folder, attempt))
  const measure = new Measure(ground)
  closing.add(() => measure.stop())
  await sleep(calmMs)
  const walBytesPerMessage = await measure.walBytesPerMessage()
  const faults = await injectFaults(schedule, ground, (injected, planned) => say(lineOf(injected, planned, writers)))
  const rest = await settle(ground, writers, options)
  measure.stop()
  const killed = await fleet.stop(30_000)
  if (killed > 0) ground.note(`${killed} relays did not stop on SIGTERM`)
  say('reading the topics')
  const kafka = proofKafka({ brokers: ground.kafka.direct.split(',') })
  const topics = await topicStates(ground)
  const names = topics.map(({ name }) => name)
  const dumps = [await dumpTopics(kafka, names, 'read_uncommitted'), await dumpTopics(kafka, names, 'read_committed')]
  const disagreement = await askThirdParty(ground.kafka.direct, dumps[0]!, ground.topics.steady, ground.random)
  if (disagreement) rest.unexpectedEnds = [...rest.unexpectedEnds, disagreement]
  const ledger = await readLedger(query, sql)
  const history: History = {
    ...(options.exactlyOnce ? { exactlyOnce: true } : {}),
    topics,
    attempts: writers.attempts,
    ledger,
    dumps,
    faults,
    traces: kept.traces(folder),
    lines: ground.lines,
    putBelow: ground.putBelow,
    rest: { ...rest, unexpectedEnds: [...rest.unexpectedEnds, ...fleet.unexpectedEnds] },
    resources: { samples: measure.samples, walBytesPerMessage, budget: measure.budget },
  }
  kept.write(folder, history)
  return history
}

/** The steady topics get most of the messages; poison alone writes to `narrow` and `compacted`. */
function planOf({ lateMs, writers, keys }: TortureOptions, { topics }: TortureGround): WriterPlan {
  const { steady, doomed, growing } = topics
  return {
    topics: [...steady, ...steady, ...steady, doomed, growing],
    keys,
    looseKeys: 4,
    writers,
    pauseMs: [20, 120],
    lateMs,
    shares: usualShares,
    largestBytes: 30_000,
  }
}

/** A third of the writers uses the extension; half of them all is behind the proxy, where connections break. */
function waysOf({ writers, mutant, prisma }: TortureOptions, { postgres, proxiedUrl, sql }: TortureGround): Way[] {
  const spoilt = mutant === undefined ? undefined : mutantNamed(mutant).way
  return Array.from({ length: writers }, (_, i) => {
    const url = i % 2 === 0 ? proxiedUrl : postgres.url
    const way = i % 3 > 0 ? new SqlWay(url, sql) : prisma === 8 ? new Prisma8Way(url) : new PrismaWay(url)
    return spoilt ? spoilt(way, url) : way
  })
}

/** Milliseconds after which relays that do not share the buckets, as some mutants do not, are tortured all the same. */
const sharingMs = 30_000

/** Resolves when every relay has a share of the buckets: before that, leases going from hand to hand are no calm. */
async function sharesTaken({ postgres }: TortureGround, relays: number): Promise<void> {
  for (const since = performance.now(); performance.now() - since < sharingMs; ) {
    const { rows } = await postgres.admin.query<{ n: number }>(
      `SELECT count(DISTINCT owner)::int AS n FROM outbox_lease WHERE leased_until > clock_timestamp()
  HAVING count(*) = 64 AND max((SELECT count(*) FROM outbox_lease AS o WHERE o.owner = outbox_lease.owner)) <= ceil(64.0 / $1)`,
      [relays],
    )
    if (rows[0]?.n === relays) return
    await sleep(100)
  }
}

/** Waits, after the last heal, until the outbox is empty, and looks at the tables. */
async function settle(ground: TortureGround, writers: Writers, { relays, emptyMs }: TortureOptions): Promise<Rest> {
  const { postgres, relays: fleet, expectedDead } = ground
  await fleet.scale(relays)
  await writers.stop()
  const since = performance.now()
  const waiting = async () => (await postgres.admin.query<{ n: number }>('SELECT count(*)::int AS n FROM outbox')).rows[0]!.n
  let left = await waiting()
  while (left > 0 && performance.now() - since < emptyMs) {
    await sleep(100)
    left = await waiting()
  }
  const emptiedMs = left === 0 ? performance.now() - since : null
  const { rows: dead } = await postgres.admin.query<{ id: string; reason: string | null }>(
    `SELECT message_id AS id, CASE WHEN reason IS NOT NULL THEN reason WHEN NOT EXISTS (SELECT 1 FROM outbox_dead_letter AS head
  WHERE head.topic = d.topic AND head.key = d.key AND head.id < d.id AND head.reason IS NOT NULL) THEN 'NO_HEAD' END AS reason
  FROM outbox_dead_letter AS d`,
  )
  return { emptiedMs, limitMs: emptyMs, left, dead, expectedDead, unexpectedEnds: [] }
}

async function topicStates({ admin, topics, grownFrom }: TortureGround): Promise<TopicState[]> {
  const names = [...topics.steady, topics.doomed, topics.growing]
  const { topics: found } = await admin.fetchTopicMetadata({ topics: names })
  return found.map(({ name, partitions }) => {
    const first = topicPlan.find(({ topic }) => topic === name)!.partitions
    const grown = Array.from({ length: Math.max(1, partitions.length - first + 1) }, (_, i) => first + i)
    const usedFrom = name === topics.growing ? grownFrom() : undefined
    return { name, partitions: grown, deleted: name === topics.doomed, ...(usedFrom === undefined ? {} : { usedFrom }) }
  })
}

function lineOf(injected: readonly { kind: string }[], planned: number, { attempts }: Writers): string {
  const committed = attempts.filter(({ outcome }) => outcome === 'ok').length
  const last = injected.at(-1)!.kind
  return `${new Date().toISOString().slice(11, 19)}  ${injected.length} of ${planned} faults, ${committed} transactions committed; healed: ${last}`
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
