import { createInbox } from '../../src/inbox/index.ts'
import { testKafka } from '../support/topics.ts'
import { effect, eventsOf } from './stage.ts'
import { versionNamed } from './versions.ts'

/**
 * A member of a group, in a process of its own that can be killed: `applied` on standard output for each transaction. Without the inbox
 * (`INBOX=off`) the same handler runs in a loop as articles show it: a transaction for each message, then its offset.
 */
const { DATABASE_URL, KAFKA_BROKERS, TOPIC, INBOX, BATCH, GROUP, PRISMA } = process.env as Record<string, string>
const prisma = versionNamed(PRISMA).connect(DATABASE_URL!, { max: 5 })
const kafka = testKafka(KAFKA_BROKERS!)
const events = eventsOf(TOPIC!)
const config = { groupId: GROUP!, sessionTimeout: 6_000, heartbeatInterval: 1_000, maxWaitTimeInMs: 250 }
const said = (line: string) => process.stdout.write(`${line}\n`)

if (INBOX === 'off') {
  const consumer = kafka.consumer(config)
  await consumer.connect()
  await consumer.subscribe({ topic: TOPIC!, fromBeginning: true })
  await consumer.run({
    eachMessage: async ({ message }) => {
      const payload = JSON.parse(String(message.value))
      await prisma.$transaction((tx) => effect(tx, 'control', { id: String(message.headers!.id), payload }))
      said('applied 1')
    },
  })
} else {
  const common = { prisma, consumer: 'proof', events, sessionTimeoutMs: 6_000 }
  const inbox =
    BATCH === undefined
      ? createInbox({ ...common, handlers: { Counted: (event, tx) => effect(tx, 'proof', event) } })
      : createInbox({
          ...common,
          batch: Number(BATCH),
          handlers: {
            async Counted(counted, tx) {
              for (const event of counted) await effect(tx, 'proof', event)
            },
          },
        })
  inbox.on('*', (event, fields) => {
    if (event === 'applied') said(`applied ${fields.messages}`)
    else said(JSON.stringify({ event, ...fields }))
  })
  await inbox.run(kafka.consumer(inbox.consumerConfig(config)))
}
