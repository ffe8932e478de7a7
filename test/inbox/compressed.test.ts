import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import * as zlib from 'node:zlib'
import { CompressionCodecs } from 'kafkajs'
import { expect, inject, onTestFinished, test } from 'vitest'
import { createProjection } from '../../src/inbox/index.ts'
import { uuidv7 } from '../../src/message/id.ts'
import { dumpTopics, proofKafka } from '../../src/proof/dump.ts'
import { findRecord } from '../../src/transport/kafkajs/find-record.ts'
import { compressions } from '../../src/transport/protocol/compression.ts'
import { hidePackage } from '../support/hidden-packages.ts'
import { createStage, effect, record, type Stage, useMail } from './stage.ts'

/** Topics whose records a real broker compresses, because `compression.type` of the topic says so: everything that reads them. */

const { startMail, client, numbers, query } = useMail()

const codecs = compressions.filter((name) => name !== 'none')

/** Those that need a package here, with it. */
const packages = Object.entries({
  snappy: 'snappyjs',
  lz4: 'lz4-napi',
  ...('zstdDecompressSync' in zlib ? {} : { zstd: 'fzstd' }),
})

const brokers = () => inject('brokers').split(',')

/** A topic that its broker compresses, with the records 1 to `count` in one batch; `id` is that of the last. */
async function compressedStage(codec: string, count: number): Promise<Stage & { id: string }> {
  const stage = await createStage(1, { 'compression.type': codec })
  const id = uuidv7()
  await stage.send(Array.from({ length: count }, (_, n) => record('a', n + 1, n + 1 === count ? { id } : {})))
  return { ...stage, id }
}

const upTo = (count: number) => Array.from({ length: count }, (_, n) => n + 1)

function startView(stage: Stage) {
  const name = `view-${stage.topic}`
  const handlers = { Counted: (event: never, tx: never) => effect(tx, name, event) }
  const view = createProjection({ prisma: client(), name, events: stage.events, handlers } as never)
  onTestFinished(() => view.stop())
  const done = view.run(stage.kafka)
  done.catch(() => {})
  return { view, done }
}

const search = ({ topic, id }: { topic: string; id: string }) =>
  findRecord({ brokers: brokers() }, { topic, messageIds: [id], sinceMs: 0, timeoutMs: 15_000 })

const dump = (topic: string) => dumpTopics(proofKafka({ brokers: brokers() }), [topic], 'read_uncommitted')

test.each(codecs)(
  'inbox, projection, where and prove read a topic with %s',
  async (codec) => {
    const stage = await compressedStage(codec, 20)
    startMail(stage)
    await expect.poll(numbers, { timeout: 15_000 }).toEqual(upTo(20))
    await query('TRUNCATE effects')
    await startView(stage).view.live
    expect(await numbers()).toEqual(upTo(20))
    expect(await search(stage)).toMatchObject({ record: { offset: '19' }, read: 20 })
    expect((await dump(stage.topic)).records).toHaveLength(20)
  },
  40_000,
)

/** As if kafkajs had no codec yet, and the package were not installed; until the function that is returned is called. */
function withoutCodec(codec: string, needed: string): () => void {
  const show = hidePackage(needed)
  const number = compressions.indexOf(codec as never)
  const before = CompressionCodecs[number as never]
  const name = { snappy: 'Snappy', lz4: 'LZ4', zstd: 'ZSTD' }[codec]
  const missing = () => {
    throw Object.assign(new Error(`${name} compression not implemented`), { name: 'KafkaJSNotImplemented', retriable: false })
  }
  Object.assign(CompressionCodecs, { [number]: missing })
  const restore = () => {
    show()
    Object.assign(CompressionCodecs, { [number]: before })
  }
  onTestFinished(restore)
  return restore
}

test.each(packages)(
  'without the package of %s each of them ends, says what to install, and skips nothing',
  async (codec, needed) => {
    const stage = await compressedStage(codec, 3)
    withoutCodec(codec, needed)
    const refused = {
      code: 'OUTBOX_COMPRESSION_PACKAGE',
      remedy: `Run "npm install ${needed}".`,
      message: expect.stringContaining(`Partition 0 of the topic ${stage.topic} at offset 0: it is compressed with ${codec}`),
    }
    const mail = startMail(stage)
    await expect(mail.done).rejects.toMatchObject(refused)
    expect(mail.all('consumer_stopped')).toEqual([{ consumer: 'mail', code: 'OUTBOX_COMPRESSION_PACKAGE' }])
    expect(mail.all('consumer_crashed').map(({ restart }) => restart)).toEqual([false])
    await expect(startView(stage).done).rejects.toMatchObject(refused)
    await expect(search(stage)).rejects.toMatchObject(refused)
    await expect(dump(stage.topic)).rejects.toMatchObject(refused)
    expect(await numbers()).toEqual([])
  },
  40_000,
)

test('once the package is installed, the next start applies the batch', async () => {
  const stage = await compressedStage('snappy', 3)
  const install = withoutCodec('snappy', 'snappyjs')
  await expect(startMail(stage).done).rejects.toMatchObject({ code: 'OUTBOX_COMPRESSION_PACKAGE' })
  await expect(startView(stage).done).rejects.toMatchObject({ code: 'OUTBOX_COMPRESSION_PACKAGE' })
  install()
  startMail(stage)
  await expect.poll(numbers, { timeout: 15_000 }).toEqual([1, 2, 3])
  await startView(stage).view.live
  expect(await numbers()).toEqual([1, 2, 3, 1, 2, 3])
}, 40_000)

/** A copy of kafkajs of its own, with codecs of its own. */
function anotherKafkajs(): typeof import('kafkajs') {
  const folder = mkdtempSync(join(tmpdir(), 'outbox-kafkajs-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  cpSync(fileURLToPath(new URL('../../node_modules/kafkajs', import.meta.url)), join(folder, 'node_modules/kafkajs'), {
    recursive: true,
  })
  return createRequire(join(folder, 'package.json'))('kafkajs')
}

test('consumers of another copy of kafkajs end too, and are told of its codecs', async () => {
  const stage = await compressedStage('lz4', 3)
  const other = anotherKafkajs()
  const kafka = new other.Kafka({ brokers: brokers(), logLevel: other.logLevel.NOTHING })
  const refused = { code: 'OUTBOX_COMPRESSION_PACKAGE', remedy: expect.stringContaining('another copy of kafkajs') }
  const mail = startMail(stage, {}, { kafka })
  await expect(mail.done).rejects.toMatchObject(refused)
  expect(mail.all('consumer_started')).toMatchObject([{ guarded: false }])
  await expect(startView({ ...stage, kafka }).done).rejects.toMatchObject(refused)
}, 40_000)
